"""Reads pprof's protobuf profiles, gzipped or not; merges them; writes them.

Input: what `/debug/pprof/{goroutine,goroutineleak,heap,allocs,profile,block,mutex,threadcreate}` answer, or any
`profile.proto` (google/pprof `proto/profile.proto`). `read` gives an Artefact with `profile`, and for goroutine and
goroutineleak profiles also `snapshot`. Raises FormatError if it is no profile, LimitError beyond the limits here and
in `_profile_wire`; damage costs the damaged records (`problems`, `lost`).

What Go writes, checked in runtime/pprof/{pprof,proto,protomem}.go and on samples of Go 1.21, 1.25 and 1.27:

- Goroutine profiles start at the very leaf: a parked goroutine shows `runtime.gopark` (or `runtime.goparkunlock` inlined
  in its caller), then the wait machinery (`runtime.chanrecv`, `runtime.chanrecv1`; `runtime.selectgo`;
  `runtime.semacquire1`, `sync.runtime_SemacquireMutex` or, from 1.24, `internal/sync.runtime_SemacquireMutex` ...). The
  text dump hides those of package runtime. One that ran shows `runtime.goroutineProfileWithLabels` or the like.
- `runtime.goexit` never appears (proto.go: allFrames returns nothing for it). `runtime.main` does, as root of main.
- There is no `created by`, no state, no wait time, no goroutine id.
- Generic functions carry their shape, `main.(*Pool[go.shape.string]).take`, where dumps, debug=1 text and traces print
  `main.(*Pool[...]).take` (runtime_FrameSymbolName against funcNameForPrint).
- Wrapper functions (`.Do-fm`, method wrappers) are left out by the unwinder as in dumps; line numbers are the calls'.
- Heap and allocs hide leaf frames of package runtime unless there are no others (protomem.go) and are unsampled already.
- At most 128 frames by default (GODEBUG=profstackdepth; 32 before Go 1.23), the root end is cut, silently.

Frames are kept as they come; `stacks` makes them comparable.

Why a decoder of our own: google.protobuf parses 100 heap profiles (16 MB) in 0.14 s, but then hands each sample,
location and line to Python as an object: one walk over them takes 1.8 s more on a machine where the whole process that
merges them here takes 0.4 s of CPU (`go tool pprof -proto`: 0.75 s). Columns filled by a kernel need no objects. `merge` follows google/pprof's rules, see
`_profile_merge`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from parkwarden.formats import _profile_merge as merging
from parkwarden.formats._problems import Problems
from parkwarden.formats._profile_model import build_of, kind_of, snapshot_of
from parkwarden.formats._profile_wire import Columns, Ints, Tables, decode, encode, resolve
from parkwarden.formats._profile_wire import gunzip as gunzip
from parkwarden.formats._varint import read_uvarint
from parkwarden.model import Artefact, FormatError, Frame, Kind, LimitError, Profile, Stack

MAX_DEPTH = 2048
"""Frames of one stack, inlined ones included; Go's own greatest is 1024 (GODEBUG=profstackdepth). The rest is elided."""
MAX_FRAMES = 48_000_000
"""Frames expanded over all distinct chains of locations: a few bytes of input can name thousands."""
MAX_LABEL_SETS = 1_000_000
"""Distinct label sets, some hundred bytes each; a vendor profile has one per goroutine."""
NUMERIC_LABELS = ("bytes",)
"""Labels Go writes as numbers (protomem.go: the block size); `write` does so too."""
_LEVEL = 1
"""Compression level, the one Go uses (proto.go: newProfileBuilder, gzip.BestSpeed)."""
_PEEK = 4096
"""Bytes of unpacked head that `sniff` looks at."""


def sniff(head: bytes) -> bool:
    """Whether the first bytes (256 and more are better) look like a profile.proto, gzipped or not."""
    if head.startswith(b"\x1f\x8b"):
        try:
            head = zlib.decompressobj(31).decompress(head, _PEEK)
        except zlib.error:
            return False
    return _looks_like_profile(head[:_PEEK])


def _looks_like_profile(head: bytes) -> bool:
    """Walk top-level fields: the right wire types, a value type among the first, three fields or the whole head."""
    pos = fields = 0
    typed = False
    while pos < len(head):
        key, wire = head[pos] >> 3, head[pos] & 7
        if not 1 <= key <= 15 or wire != (2 if key <= 6 or key == 11 else wire) or wire not in (0, 2):
            return False
        value, pos = read_uvarint(head, pos + 1)
        if pos < 0:
            break
        if wire == 2:
            if key in (1, 11):
                body = head[pos : pos + value]
                if value > 24 or (body and body[0] not in (0x08, 0x10)):
                    return False
                typed = True
            pos += value
        fields += 1
        if fields >= 16:
            break
    return typed and fields >= 2


def read(data: bytes, name: str = "", *, max_rows: int = 0) -> Artefact:
    """The profile in `data`. Raises FormatError, LimitError.

    `max_rows`: of each table, for whoever reads what strangers send again and again; 0 = the limits of files.
    """
    problems = Problems()
    unpacked, trouble = gunzip(data)
    if trouble:
        problems.add("damaged-gzip", f"byte {len(unpacked)}", trouble)
    c = decode(unpacked)
    if len(c.types) == 0 and len(c.samples) == 0:
        raise FormatError("not-a-profile", "This is not a pprof profile.", context=name)
    if max_rows:
        _refuse_beyond(c, max_rows)
    lost = c.damaged
    if c.damaged:
        problems.add("damaged-record", f"byte {c.damaged_at}", f"{c.damaged:,} records are damaged, the first is here")
    if c.stopped_at < len(unpacked):
        lost += 1
        problems.add(
            "truncated", f"byte {c.stopped_at}", f"the last {len(unpacked) - c.stopped_at:,} bytes are no whole record"
        )
    if c.unknown:
        problems.add("unknown-field", "", f"{c.unknown:,} fields are unknown and were not read")
    profile, gone = _profile(c, problems)
    lost += gone
    default = c.text(int(c.header[7]))
    first = profile.values[:, 0].tolist() if profile.values.shape[1] else []
    leaves = ((_leaf(profile.stacks[s]), n) for s, n in zip(profile.stack.tolist(), first, strict=False))
    kind, sure = kind_of([t for t, _ in profile.sample_types], default, leaves)
    if not sure:
        problems.add("ambiguous-kind", "", "block and mutex profiles without samples look the same; taken for block")
    artefact = Artefact(name=name, kind=kind, size=len(unpacked), records=len(profile.stack), profile=profile)
    if kind in (Kind.GOROUTINE_PROFILE, Kind.GOROUTINELEAK_PROFILE):
        artefact.snapshot, gone = snapshot_of(profile, kind, problems)
        lost += gone
    files = {c.text(i) for i in set(c.functions[:, 3].tolist())}
    artefact.build = build_of(files, profile.binary)
    artefact.taken_at = profile.time_nanos / 1e9 if profile.time_nanos > 0 else None
    artefact.problems = problems.listed()
    artefact.lost = lost
    return artefact


def _refuse_beyond(c: Columns, max_rows: int) -> None:
    """Raise LimitError before anything becomes an object; a sample has MAX_DEPTH locations at most and dozens in the mean."""
    most = max(
        len(c.samples), len(c.locations), len(c.functions), len(c.lines), len(c.strings), len(c.location_ids) >> 6
    )
    if most > max_rows:
        raise LimitError(
            "profile-too-big", "The profile has more records than the limit allows.", context=f"limit {max_rows:,}"
        )


def _leaf(stack: Stack) -> str:
    return stack.frames[0].function if stack.frames else ""


def _profile(c: Columns, problems: Problems) -> tuple[Profile, int]:
    """The model's profile and the number of samples lost."""
    width = len(c.types)
    whole = c.samples[:, 3] == width
    samples = c.samples[whole]
    lost = len(c.samples) - len(samples)
    if lost:
        problems.add("wrong-values", "", f"{lost:,} samples do not have {width} values, one per sample type")
    stacks, stack = _stacks(c, samples, problems)
    labels, label = _labels(c, samples)
    head = c.header.tolist()
    main = c.mappings[0].tolist() if len(c.mappings) else [0] * 7
    profile = Profile(
        sample_types=[(c.text(t), c.text(u)) for t, u in c.types.tolist()],
        stacks=stacks,
        stack=stack,
        values=c.values[samples[:, 2, None] + np.arange(width)].reshape(len(samples), width),
        labels=labels,
        label=label,
        period_type=(c.text(head[4]), c.text(head[5])),
        period=head[6],
        time_nanos=head[2],
        duration_nanos=head[3],
        binary=c.text(main[4]),
        build_id=c.text(main[5]),
        comments=tuple(c.text(i) for i in c.comments[:1000].tolist()),
    )
    return profile, lost


def _frames(c: Columns, problems: Problems) -> tuple[list[Frame], list[list[int]]]:
    """Distinct frames, and per location the indexes of its frames, innermost inlined call first."""
    function = resolve(c.functions[:, 0], c.lines[:, 0])
    names = {i: c.text(i) for i in set(c.functions[:, 1].tolist()) | set(c.functions[:, 3].tolist())}
    table = c.functions.tolist()
    frames: list[Frame] = []
    known: dict[object, int] = {}
    unnamed = 0

    def intern(frame: Frame) -> int:
        at = known.setdefault(frame, len(frames))
        if at == len(frames):
            frames.append(frame)
        return at

    by_line: list[int] = []
    seen: dict[tuple[int, int], int] = {}
    for row, line in zip(function.tolist(), c.lines[:, 1].tolist(), strict=True):
        at = seen.get((row, line))
        if at is None:
            if row < 0 or not names[table[row][1]]:
                unnamed += row < 0
                at = -1
            else:
                at = intern(Frame(names[table[row][1]], names[table[row][3]], max(line, 0)))
            seen[row, line] = at
        by_line.append(at)
    expanded: list[list[int]] = []
    for _id, _mapping, address, first, count, _folded in c.locations.tolist():
        inner = [i for i in by_line[first : first + min(count, MAX_DEPTH + 1)] if i >= 0]
        expanded.append(inner or [intern(Frame(hex(address & 0xFFFFFFFFFFFFFFFF)))])
    if unnamed:
        problems.add("unknown-function", "", f"{unnamed:,} lines name a function that is not in the profile")
    return frames, expanded


def _stacks(c: Columns, samples: Ints, problems: Problems) -> tuple[list[Stack], Ints]:
    """Distinct stacks (by frames) and each sample's index into them."""
    frames, expanded = _frames(c, problems)
    rows = resolve(c.locations[:, 0], c.location_ids)
    dangling = int((rows < 0).sum())
    if dangling:
        problems.add("unknown-location", "", f"{dangling:,} references are to locations that are not in the profile")
    stacks: list[Stack] = []
    known: dict[object, int] = {}
    by_locations: dict[bytes, int] = {}
    stack = np.empty(len(samples), dtype=np.int64)
    total = cut = 0
    for i, (first, count) in enumerate(samples[:, :2].tolist()):
        part = rows[first : first + count]
        key = part.tobytes()
        at = by_locations.get(key)
        if at is None:
            chosen = [expanded[r] for r in part[: MAX_DEPTH + 1].tolist() if r >= 0]
            depth = 0
            flat: list[int] = []
            for inner in chosen:
                depth += len(inner)
                if len(flat) <= MAX_DEPTH:
                    flat += inner
            depth += max(0, count - MAX_DEPTH - 1)
            elided = max(0, depth - MAX_DEPTH)
            cut += elided > 0
            ids = (*flat[:MAX_DEPTH], -elided)
            total += len(ids)
            at = known.get(ids)
            if at is None:
                if total > MAX_FRAMES:
                    raise LimitError("profile-too-big", "The profile's stacks have more frames than the limit allows.",
                                     context=f"limit {MAX_FRAMES:,} frames")  # fmt: skip
                at = known[ids] = len(stacks)
                stacks.append(Stack(tuple(frames[f] for f in ids[:-1]), None, elided))
            by_locations[key] = at
        stack[i] = at
    if cut:
        problems.add("deep-stack", "", f"{cut:,} stacks have more than {MAX_DEPTH:,} frames; the rest is elided")
    return stacks, stack


def _labels(c: Columns, samples: Ints) -> tuple[list[dict[str, str]], Ints]:
    """Distinct label sets; numbers as decimal text. Several values of one key are joined by ", "."""
    sets: list[dict[str, str]] = [{}]
    label = np.zeros(len(samples), dtype=np.int64)
    if len(c.labels) == 0:
        return sets, label
    known: dict[bytes, int] = {}
    texts: dict[int, str] = {}

    def text(i: int) -> str:
        if i not in texts:
            texts[i] = c.text(i)
        return texts[i]

    for i, (first, count) in enumerate(samples[:, 4:6].tolist()):
        if count == 0:
            continue
        part = c.labels[first : first + count]
        key = part.tobytes()
        at = known.get(key)
        if at is None:
            found: dict[str, list[str]] = {}
            for k, s, n, _unit in part.tolist():
                found.setdefault(text(k), []).append(text(s) if s else str(n))
            at = known[key] = len(sets)
            if at > MAX_LABEL_SETS:
                raise LimitError("profile-too-big", "The profile has more distinct label sets than the limit allows.",
                                 context=f"limit {MAX_LABEL_SETS:,}")  # fmt: skip
            sets.append({k: ", ".join(v) for k, v in found.items()})
        label[i] = at
    return sets, label


decoded = merging.decoded
"""A profile's bytes -> Columns: the part of a merge that a caller with threads may do ahead."""


def merge(profiles: Iterable[bytes | Columns]) -> bytes:
    """One gzipped profile out of several of one type (each gzipped, plain, or already `decoded`), as `go tool pprof
    -proto a b ...` makes it.

    Raises FormatError (`profiles-differ`, `not-a-profile`, `nothing-to-merge`), LimitError.
    """
    return _gzip(merging.merge_all(profiles))


def texts(data: bytes) -> list[str]:
    """All texts of a profile (gzipped or not): names, paths, labels, comments. For looking through them, e.g. for secrets."""
    message, _ = gunzip(data)
    columns = decode(message)
    return [columns.text(i) for i in range(1, len(columns.strings))]


def write(profile: Profile) -> bytes:
    """The gzipped protobuf of a profile; `go tool pprof` reads it.

    Frames whose name is an address (`0x4390ce`) become locations without a name; which calls
    were inlined is not kept in a Profile. Labels in NUMERIC_LABELS are numbers.
    """
    strings: dict[str, int] = {"": 0}

    def text(value: str) -> int:
        return strings.setdefault(value, len(strings))

    locations, lines, functions, rows_of = _written_frames(profile.stacks, text)
    n, width = len(profile.stack), len(profile.sample_types)
    samples = np.zeros((n, 6), dtype=np.int64)
    chosen = [rows_of[s] for s in profile.stack.tolist()]
    samples[:, 1] = [len(rows) for rows in chosen]
    samples[:, 0] = np.cumsum(samples[:, 1]) - samples[:, 1]
    samples[:, 2] = np.arange(n) * width
    samples[:, 3] = width
    sets = [[_written_label(k, v, text) for k, v in labels.items()] for labels in profile.labels]
    worn = [sets[i] for i in profile.label.tolist()]
    samples[:, 5] = [len(labels) for labels in worn]
    samples[:, 4] = np.cumsum(samples[:, 5]) - samples[:, 5]
    header = np.zeros(9, dtype=np.int64)
    header[2:4] = profile.time_nanos, profile.duration_nanos
    header[4:6] = text(profile.period_type[0]), text(profile.period_type[1])
    header[6] = profile.period
    mapping = np.zeros((1, 7), dtype=np.int64)
    mapping[0, 4:7] = text(profile.binary), text(profile.build_id), 0xF  # symbolised: names, files, lines, inlining
    types = _table([[text(a), text(b)] for a, b in profile.sample_types], 2)
    comments = np.array([text(x) for x in profile.comments], dtype=np.int64)
    arena, starts = _arena(strings)
    return _gzip(encode(Tables(
        types, mapping, locations, lines, functions, samples, np.fromiter(chain(*chosen), dtype=np.int64),
        np.ascontiguousarray(profile.values), _table(list(chain(*worn)), 4), header, comments, arena, starts,
    )))  # fmt: skip


def _written_frames(stacks: Sequence[Stack], text: object) -> tuple[Ints, Ints, Ints, list[list[int]]]:
    """One location per distinct frame; and per stack its location rows."""
    assert callable(text)
    frames: dict[Frame, int] = {}
    functions: dict[tuple[str, str], int] = {}
    locations: list[list[int]] = []
    lines: list[list[int]] = []
    rows_of = []
    for stack in stacks:
        rows = []
        for frame in stack.frames:
            row = frames.get(frame)
            if row is None:
                row = frames[frame] = len(frames)
                address = _address(frame)
                if address:
                    locations.append([0, 0, address, len(lines), 0, 0])
                else:
                    locations.append([0, 0, 0, len(lines), 1, 0])
                    function = functions.setdefault((frame.function, frame.file), len(functions))
                    lines.append([function, frame.line, 0])
            rows.append(row)
        rows_of.append(rows)
    table = [[0, text(name), text(name), text(file), 0] for name, file in functions]
    return _table(locations, 6), _table(lines, 3), _table(table, 5), rows_of


def _address(frame: Frame) -> int:
    """The address of a frame without a name, as a signed 64-bit pattern; 0 if it has one."""
    if not frame.function.startswith("0x") or frame.file or len(frame.function) > 18:
        return 0
    try:
        value = int(frame.function, 16)
    except ValueError:
        return 0
    return value - (1 << 64) if value >> 63 else value


def _written_label(key: str, value: str, text: object) -> list[int]:
    assert callable(text)
    if key in NUMERIC_LABELS and value.isascii() and value.isdigit() and len(value) <= 18:
        return [text(key), 0, int(value), 0]
    return [text(key), text(value), 0, 0]


def _table(rows: list[list[int]], width: int) -> Ints:
    return np.array(rows, dtype=np.int64).reshape(-1, width)


def _arena(strings: dict[str, int]) -> tuple[npt.NDArray[np.uint8], Ints]:
    encoded = [s.encode("utf-8", "replace") for s in strings]
    starts = np.zeros(len(encoded) + 1, dtype=np.int64)
    starts[1:] = np.cumsum([len(e) for e in encoded])
    return np.frombuffer(b"".join(encoded) or b"\0", dtype=np.uint8), starts


def _gzip(message: bytes) -> bytes:
    pack = zlib.compressobj(_LEVEL, zlib.DEFLATED, 31)
    return pack.compress(message) + pack.flush()
