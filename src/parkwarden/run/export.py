"""`export`: artefacts to the forms of other tools. Several pprof profiles are merged on the wire, without objects."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from parkwarden.collect.limits import Tell
from parkwarden.model import Artefact, Case, FormatError, UsageError
from parkwarden.run.bags import is_url

T = TypeVar("T")

DECODERS = 2
"""Threads that decode profiles while another is merged."""

AHEAD = 8
"""Profiles decoded before they are wanted: bounds the memory of a merge of many."""

MAX_PLAIN_BYTES = 64 << 20
"""A file above this is not tried as a profile to be merged on the wire; the ordinary way has its own limits."""


def export(inputs: Sequence[str], to: str, *, redact: bool, tell: Tell) -> bytes | str:
    """The inputs as `pprof` (bytes, gzipped), `folded` or `speedscope` (text).

    Raises FormatError where nothing can be exported, UsageError where inputs do not go together.
    """
    if any(is_url(i) for i in inputs):
        raise UsageError(
            "export-live", "export reads files", hint="keep a live service's answers with: diagnose URL --save DIR"
        )
    if to == "pprof" and len(inputs) > 1:
        merged = _merged(inputs, redact)
        if merged is not None:
            return merged
    from parkwarden.collect.files import gather
    from parkwarden.report import export as forms

    artefacts = [a for a in gather(list(inputs), tell) if a.snapshot or a.profile or a.trace]
    if not artefacts:
        raise FormatError(
            "nothing-to-export", "none of the inputs holds stacks", hint="parkwarden diagnose says what they are"
        )
    if redact:
        artefacts = _redacted(artefacts)
    tell(f"writing {to}", None)
    if to == "speedscope":
        return forms.to_speedscope(artefacts)
    if to == "folded":
        return "".join(forms.to_folded(a) for a in artefacts)
    if len(artefacts) == 1:
        return forms.to_pprof(artefacts[0])
    from parkwarden.formats.profile_proto import merge

    return merge([forms.to_pprof(a) for a in artefacts])


def _merged(paths: Sequence[str], redact: bool) -> bytes | None:
    """All inputs merged as protobuf profiles, or None if some are something else or hold texts to redact."""
    from parkwarden.formats import profile_proto

    contents: list[bytes] = []
    for path in map(Path, paths):
        if not path.is_file() or path.stat().st_size > MAX_PLAIN_BYTES:
            return None
        contents.append(path.read_bytes())
        if not profile_proto.sniff(contents[-1][:4096]):
            return None
    merged = profile_proto.merge(_ahead(contents, profile_proto.decoded))
    if redact:
        from parkwarden.report.redact import Redactor

        redactor = Redactor()
        if any(redactor.text(text) != text for text in profile_proto.texts(merged)):
            return None
    return merged


def _ahead(contents: list[bytes], decode: Callable[[bytes], T]) -> Iterator[T]:
    """Decoded profiles in order, a few ahead of the merge: both halves of decoding run without the GIL."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(DECODERS) as pool:
        waiting = deque(pool.submit(decode, data) for data in contents[:AHEAD])
        for data in contents[AHEAD:]:
            yield waiting.popleft().result()
            waiting.append(pool.submit(decode, data))
        while waiting:
            yield waiting.popleft().result()


def _redacted(artefacts: list[Artefact]) -> list[Artefact]:
    from parkwarden.report.redact import redact_case

    return redact_case(Case(artefacts=artefacts)).artefacts
