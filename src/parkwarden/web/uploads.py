"""Files that come to the explorer: uploads as multipart forms, items of the evidence store. Each becomes a bag (`run/board/dumps.py`).

An upload is streamed: what is bigger than a megabyte goes to an unnamed temporary file, which nobody else can open and which ends with us,
and is gone as soon as it is read. A place in the line is taken before the body is: who finds none is told so at once (429).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.datastructures import UploadFile
from starlette.requests import Request

from parkwarden.collect.serve import give_time
from parkwarden.model import UsageError, words
from parkwarden.run.board.dumps import MAX_FILES, MAX_UPLOAD_BYTES, BusyError, Given
from parkwarden.web.problems import TooLargeError, TooManyError, WebError

if TYPE_CHECKING:
    from parkwarden.run.board.dumps import OpenedBag
    from parkwarden.web.desk import Desk

T = TypeVar("T")

FILE_FIELD = "file"
MODIFIED_FIELD = "modified"
"""Fields of the form: files, and for each in the same order when it was last changed (milliseconds since 1970, as browsers tell it)."""

MAX_FRAMING_BYTES = 1 << 20
"""Of a form beside its files: heads of parts and fields."""

MAX_EVIDENCE = 20
"""Items of evidence opened together: looks of one incident."""

MAX_NAME = 200
"""Characters of a file's name."""

RETRY_S = 3
"""What who is refused is told to wait: a bag takes a second or two."""


GIVE_TIME_S = 5.0
"""Between two requests for more of the connection's time while files are read."""


@contextmanager
def told_busy() -> Iterator[None]:
    """`BusyError` as the answer 429."""
    try:
        yield
    except BusyError as error:
        raise TooManyError(error.code, error.message, hint=error.hint, headers={"Retry-After": str(RETRY_S)}) from None


async def receive_upload(desk: Desk, request: Request) -> OpenedBag:
    """The files of a multipart form as one bag. Raises WebError, TooLargeError, TooManyError, and what reading raises."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "multipart/form-data":
        raise WebError(
            "bad-upload", "expected files as a form (multipart/form-data)", hint="curl -F file=@goroutine.txt"
        )
    with told_busy(), desk.bags.admitted():
        bounded = Request(request.scope, _bounded(request))
        async with bounded.form(max_files=MAX_FILES, max_fields=MAX_FILES) as form:
            sent = [one for one in form.getlist(FILE_FIELD) if isinstance(one, UploadFile) and one.filename]
            if not sent:
                raise WebError(
                    "no-files", f"there is no file in the field `{FILE_FIELD}`", hint="curl -F file=@goroutine.txt"
                )
            times = [_seconds(value) for value in form.getlist(MODIFIED_FIELD)]
            times += [None] * (len(sent) - len(times))
            files = [
                Given(name=file_name(one.filename or ""), file=one.file, modified=at)
                for one, at in zip(sent, times, strict=False)
            ]
            return await patiently(request, desk.bags.read(files))


async def open_evidence(desk: Desk, digests: Sequence[str]) -> OpenedBag:
    """Items of the evidence store as one bag; the same items are the same bag. Raises UsageError, StoreError, TooManyError."""
    if len(digests) > MAX_EVIDENCE:
        raise UsageError("too-many-files", f"more than {MAX_EVIDENCE} items of evidence at once", hint="open fewer")
    bag_id = "e" + blake2b("\n".join(sorted(digests)).encode(), digest_size=6).hexdigest()
    known = desk.bags.known(bag_id)
    if known is not None:
        return known
    with told_busy(), desk.bags.admitted():
        files: list[Given] = []
        try:
            for digest in dict.fromkeys(digests):
                item, body = await desk.host.evidence_body(digest)
                file = TemporaryFile()  # noqa: SIM115 - `read` closes it
                files.append(Given(name=item.file or item.kind, file=file, modified=item.at))
                file.write(body)
        except BaseException:
            for given in files:
                given.file.close()
            raise
        return await desk.bags.read(files, origin="evidence", bag_id=bag_id)


async def patiently(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """`work` on time that is asked for piece by piece: its own limits end it, not the connection's."""
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait((task,), timeout=GIVE_TIME_S))[0]:
            give_time(request)
        return await task
    finally:
        task.cancel()


def file_name(text: str) -> str:
    """A file's name as a browser tells it, without what leads elsewhere."""
    parts = [part for part in text.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return "/".join(parts)[-MAX_NAME:] or "file"


def _bounded(request: Request) -> Any:
    """The request's body, MAX_UPLOAD_BYTES at most: raises TooLargeError without reading on."""
    limit = MAX_UPLOAD_BYTES + MAX_FRAMING_BYTES
    told = request.headers.get("content-length", "")
    received = int(told[:18]) if told.isdecimal() and int(told[:18]) > limit else 0

    async def receive() -> MutableMapping[str, Any]:
        nonlocal received
        message = await request.receive() if received <= limit else {"type": "http.disconnect"}
        received += len(message.get("body", b""))
        give_time(request)
        if received > limit:
            text = f"more than {words.size(MAX_UPLOAD_BYTES)} at once"
            raise TooLargeError("too-large", text, hint="open fewer files together", headers={"Connection": "close"})
        return message

    return receive


def _seconds(value: Any) -> float | None:
    """Milliseconds as a browser tells them, as Unix seconds."""
    try:
        at = float(value) / 1000.0
    except (TypeError, ValueError):
        return None
    return at if math.isfinite(at) and 0 < at < 1e11 else None
