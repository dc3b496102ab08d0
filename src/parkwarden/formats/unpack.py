"""Containers: gzip, zstd, xz, bzip2, zip and tar in any mix and nesting -> the members inside, one at a time.

`members(data, name)` yields `Member`s; data that is in no container comes back as it is, uncopied. Nothing raises and nothing is
written: what is broken or passes a limit is a Problem of its member, what could be read of a truncated one is given, the others
are read. Memory is bounded by one member and the containers around it. Nobody checks names: they are the archive's own, made
printable by reporters, cut at MAX_NAME.

Limits: MAX_DEPTH, MAX_MEMBERS, MAX_MEMBER_BYTES, MAX_TOTAL_BYTES, MAX_RATIO (above RATIO_FLOOR), MAX_STREAMS.
Formats: RFC 1952 (gzip), RFC 8878 (zstd), the .xz file format, PKWARE APPNOTE (zip), POSIX pax and GNU tar.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from parkwarden.model.artefact import Problem

MAX_DEPTH = 5
"""Containers within containers: `bag.zip` of `pod.tar.gz` of `goroutine.pb.gz` is 4; quines nest for ever."""

MAX_MEMBERS = 2_000
"""Files in all containers of one input; a bag of an incident has dozens, a fleet's has hundreds."""

MAX_ENTRIES = 100_000
"""Entries of one zip's directory: reading it costs about 10 us each."""

MAX_MEMBER_BYTES = 512 << 20
"""Bytes of one member unpacked: a text dump ends at 64 MB, a long trace has hundreds."""

MAX_TOTAL_BYTES = 2 << 30
"""Bytes unpacked from one input in all."""

MAX_RATIO = 250
"""Unpacked to packed size of the whole input. A dump of 100,000 equal goroutines reaches 100."""

RATIO_FLOOR = 96 << 20
"""Bytes that may be unpacked whatever their ratio: harmless in memory and time."""

MAX_STREAMS = 65_536
"""Streams in a row in one gzip (bgzip writes one per 64 kB, logs are appended to)."""

MAX_NAME = 400
"""Characters of a member's name kept."""

MAX_XZ_MEMORY = 256 << 20
"""Bytes an xz dictionary may take; `xz -9` needs 65 MB."""

MAX_ZSTD_WINDOW = 128 << 20
"""Bytes of a zstd window: `zstd --long=27` needs 128 MB, and more is refused by zstd itself unless told."""

_STEP = 64 << 10  # bytes unpacked per call: what is lost where a stream breaks
_FEED = 16 << 10  # bytes of input per call
_ZSTD_FEED = 2 << 10  # zstd packs 128 kB into 4 bytes and cannot be told to stop: at most 64 MB per call
_ARCHIVES = ("zip", "tar")

Bytes = bytes | memoryview


@dataclass(frozen=True, slots=True)
class Member:
    """One file found: its path through the containers (`bag.zip!pod/goroutine.txt`), its bytes, and what was wrong with it."""

    name: str
    data: Bytes
    problems: tuple[Problem, ...] = ()


def members(data: Bytes, name: str = "") -> Iterator[Member]:
    """All files in `data`, in the containers' order; one Member with `data` itself where it is no container."""
    kind = container(data)
    if kind is None:
        yield Member(name, data)
        return
    yield from _Unpacker(len(data)).walk(data, kind, name, 1)


def container(data: Bytes) -> str | None:
    """Which container `data` begins like: gzip, zstd, xz, bzip2, zip, tar; None = none."""
    head = bytes(data[:512])
    if head.startswith(b"\x1f\x8b\x08"):
        return "gzip"
    if head.startswith(b"\x28\xb5\x2f\xfd") or (
        head[1:4] == b"\x2a\x4d\x18" and head[:1] in b"PQRSTUVWXYZ[\\]^_" and head
    ):
        return "zstd"
    if head.startswith(b"\xfd7zXZ\x00"):
        return "xz"
    if head.startswith(b"BZh") and head[3:4] in b"123456789" and head[4:10] in (b"1AY&SY", b"\x17rE8P\x90"):
        return "bzip2"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08PK\x03\x04")):
        return "zip"
    if len(head) == 512 and _tar_checksum(head):
        return "tar"
    return None


MAX_STREAM_BYTES = 64 << 30
"""Bytes unpacked of one stream that is read as it comes and kept by nobody: a bound of time, not of memory."""

MAX_STREAM_RATIO = 2_000
"""Unpacked to packed size of such a stream, above RATIO_FLOOR: lines that differ in a time stamp only pack 300 to 1."""

_SLICE = 1 << 20


def streamed(data: Bytes, problems: list[Problem]) -> Iterator[bytes]:
    """The bytes of one compressed stream (gzip, zstd, xz, bzip2) or of plain data, piece by piece, never all at once.

    What is broken or passes a limit ends it with a Problem; an archive of several files is refused with one.
    """
    kind = container(data)
    if kind in _ARCHIVES:
        problems.append(Problem("archive", "", f"a {kind} of several files is no stream; unpack it first"))
        return
    if kind is None:
        view = memoryview(data)
        for at in range(0, len(view), _SLICE):
            yield bytes(view[at : at + _SLICE])
        return
    size, most = 0, max(MAX_STREAM_RATIO * len(data), RATIO_FLOOR)
    try:
        for part in _STREAMS[kind](data):
            size += len(part)
            if size > min(most, MAX_STREAM_BYTES):
                code = "too-large" if size > MAX_STREAM_BYTES else "decompression-bomb"
                problems.append(
                    Problem(code, "", f"{kind}: over {size:,} bytes of {len(data):,}; the rest was not read")
                )
                return
            yield part
    except _BrokenError as broken:
        text = f"{kind}: {broken}; {size:,} bytes could be unpacked"
        problems.append(Problem(broken.code, f"byte {broken.offset}", text))


class _LimitError(Exception):
    """A limit was passed; carries the problem that says which."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class _EndError(_LimitError):
    """A limit of the whole input: nothing more is unpacked."""


class _Unpacker:
    """What one input may still cost, over all its containers."""

    def __init__(self, packed: int) -> None:
        self.packed = max(packed, 1)
        self.total = 0
        self.count = 0

    def walk(self, data: Bytes, kind: str, name: str, depth: int) -> Iterator[Member]:
        """Members of one container and of those inside it."""
        if kind in _ARCHIVES:
            entries = self._zip(data) if kind == "zip" else self._tar(data)
            try:
                for inner, content, problems in entries:
                    self.count += 1
                    if self.count > MAX_MEMBERS:
                        raise _EndError(
                            "too-many-members", f"more than MAX_MEMBERS = {MAX_MEMBERS:,} files; the rest was not read"
                        )
                    path = f"{name}!{_name(inner)}" if inner else name
                    yield from self._deeper(content, path[-2 * MAX_NAME :], depth, problems)
            except _EndError as end:
                yield Member(name, b"", (Problem(end.code, "", end.text),))
                self.count = MAX_MEMBERS
            return
        content, problems = self._stream(data, kind)
        yield from self._deeper(content, name, depth, problems)

    def _deeper(self, data: Bytes, name: str, depth: int, problems: tuple[Problem, ...]) -> Iterator[Member]:
        kind = container(data)
        if kind is None:
            yield Member(name, data, problems)
        elif depth >= MAX_DEPTH:
            text = f"containers are nested deeper than MAX_DEPTH = {MAX_DEPTH}; this {kind} was not opened"
            yield Member(name, b"", (*problems, Problem("too-deep", "", text)))
        else:
            if problems:
                yield Member(name, b"", problems)
            yield from self.walk(data, kind, name, depth + 1)

    def spend(self, size: int, member: int) -> None:
        """Count `size` bytes more of a member that now has `member`; raises where a limit is passed."""
        self.total += size
        if self.total > MAX_TOTAL_BYTES:
            raise _EndError(
                "too-large",
                f"more than MAX_TOTAL_BYTES = {MAX_TOTAL_BYTES >> 20:,} MiB unpacked in all; the rest was not read",
            )
        if self.total > RATIO_FLOOR and self.total > MAX_RATIO * self.packed:
            raise _EndError(
                "decompression-bomb",
                f"unpacks to over MAX_RATIO = {MAX_RATIO} times its {self.packed:,} bytes; nothing more was unpacked",
            )
        if member > MAX_MEMBER_BYTES:
            raise _LimitError(
                "member-too-large", f"more than MAX_MEMBER_BYTES = {MAX_MEMBER_BYTES >> 20:,} MiB unpacked; not read"
            )

    def _stream(self, data: Bytes, kind: str) -> tuple[bytes, tuple[Problem, ...]]:
        """All of a compressed stream, or what there is of a broken one. A limit of the whole is a problem here too."""
        return self._collect(_STREAMS[kind](data), kind)

    def _collect(self, steps: Iterator[bytes], kind: str) -> tuple[bytes, tuple[Problem, ...]]:
        parts: list[bytes] = []
        size = 0
        try:
            for part in steps:
                size += len(part)
                self.spend(len(part), size)
                parts.append(part)
        except _LimitError as limit:
            parts.clear()
            return b"", (Problem(limit.code, "", limit.text),)
        except _BrokenError as broken:
            text = f"{kind}: {broken}; {size:,} bytes could be unpacked"
            return b"".join(parts), (Problem(broken.code, f"byte {broken.offset}", text),)
        return (parts[0] if len(parts) == 1 else b"".join(parts)), ()

    def _zip(self, data: Bytes) -> Iterator[tuple[str, bytes, tuple[Problem, ...]]]:
        """(name, bytes, problems) of each file of a zip; of one without a directory (cut off), by its local headers."""
        import zipfile

        raw = bytes(data) if isinstance(data, memoryview) else data
        if raw.count(b"PK\x01\x02") > MAX_ENTRIES:
            yield (
                "",
                b"",
                (
                    Problem(
                        "too-many-members", "", f"a zip of more than MAX_ENTRIES = {MAX_ENTRIES:,} entries; not read"
                    ),
                ),
            )
            return
        try:
            archive = zipfile.ZipFile(io.BytesIO(raw))
        except Exception as error:  # zipfile raises struct.error, ValueError and more on hostile input
            yield (
                "",
                b"",
                (
                    Problem(
                        "damaged-container",
                        "",
                        f"zip: no directory ({_why(error)}); its files are read as far as they go",
                    ),
                ),
            )
            yield from self._zip_by_headers(raw)
            return
        with archive:
            for info in archive.infolist():
                if info.is_dir():
                    continue
                if info.flag_bits & 1:
                    yield (
                        info.filename,
                        b"",
                        (Problem("encrypted", "", "an encrypted file; unpack it with its password first"),),
                    )
                elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2):
                    text = f"zip method {info.compress_type} is not supported: use deflate"
                    yield info.filename, b"", (Problem("unsupported-compression", "", text),)
                else:
                    yield info.filename, *self._collect(_zip_entry(archive, info), "zip")

    def _zip_by_headers(self, data: bytes) -> Iterator[tuple[str, bytes, tuple[Problem, ...]]]:
        """Files of a zip by their local headers (APPNOTE 4.3.7), stored or deflated."""
        at = 0
        while 0 <= at <= len(data) - 30:
            method, flags = (
                int.from_bytes(data[at + 8 : at + 10], "little"),
                int.from_bytes(data[at + 6 : at + 8], "little"),
            )
            packed = int.from_bytes(data[at + 18 : at + 22], "little")
            name_size, extra = (
                int.from_bytes(data[at + 26 : at + 28], "little"),
                int.from_bytes(data[at + 28 : at + 30], "little"),
            )
            name = data[at + 30 : at + 30 + name_size].decode("utf-8", "replace")
            begin = at + 30 + name_size + extra
            if flags & 1 or method not in (0, 8) or (method == 0 and flags & 8):
                yield (
                    name,
                    b"",
                    (
                        Problem(
                            "damaged-container", f"byte {at}", "zip: this file cannot be read without the directory"
                        ),
                    ),
                )
            elif method == 0:
                content = data[begin : begin + packed]
                problem = Problem("truncated", f"byte {at}", f"zip: {len(content):,} of {packed:,} bytes are there")
                yield name, content, (problem,) if len(content) < packed else ()
            else:
                yield name, *self._collect(_deflate(memoryview(data)[begin:], begin), "zip")
            # sizes of local headers may lie or be missing: the next signature is what counts
            at = data.find(b"PK\x03\x04", begin + (packed if begin + packed < len(data) and not flags & 8 else 0))

    def _tar(self, data: Bytes) -> Iterator[tuple[str, Bytes, tuple[Problem, ...]]]:
        """(name, bytes, problems) of each regular file of a tar; headers with a wrong checksum are skipped and told."""
        view = memoryview(data)
        at, long_name, broken = 0, "", 0
        while at + 512 <= len(view):
            head = bytes(view[at : at + 512])
            if not head.strip(b"\0"):
                at += 512
                continue
            if not _tar_checksum(head):
                if not broken:
                    text = "tar: not a header; searching for the next one"
                    yield "", b"", (Problem("damaged-container", f"byte {at}", text),)
                broken += 1
                at += 512
                continue
            size = _tar_number(head[124:136])
            kind = head[156:157]
            begin, at = at + 512, at + 512 + (size + 511) // 512 * 512
            content = view[begin : begin + size]
            if kind in (b"L", b"x"):
                long_name = _tar_long_name(bytes(content[: 1 << 16]), kind) or long_name
                continue
            if kind in (b"0", b"\0", b"7"):
                name, long_name = long_name or _tar_name(head), ""
                problems: tuple[Problem, ...] = ()
                if len(content) < size:
                    problems = (
                        Problem("truncated", f"byte {begin}", f"tar: {len(content):,} of {size:,} bytes are there"),
                    )
                yield name, bytes(content), problems
            elif kind not in (b"g", b"K"):
                long_name = ""


class _BrokenError(Exception):
    """A stream cannot be read on; `offset` is where in the packed bytes."""

    def __init__(self, code: str, text: str, offset: int) -> None:
        super().__init__(text)
        self.code = code
        self.offset = offset


def _deflate(view: memoryview, base: int = 0) -> Iterator[bytes]:
    """One raw deflate stream at the begin of `view`, in steps; the generator's end is the stream's."""
    yield from _Deflate(view, base).steps()


class _Deflate:
    """One raw deflate stream; after `steps` is exhausted, `used` tells its packed size."""

    def __init__(self, view: memoryview, base: int) -> None:
        self.view = view
        self.base = base
        self.used = 0

    def steps(self) -> Iterator[bytes]:
        inflate = zlib.decompressobj(-15)
        at = 0
        pending: Bytes = b""
        while not inflate.eof:
            if not pending:
                pending = self.view[at : at + _FEED]
                at += len(pending)
                if not pending:
                    raise _BrokenError("truncated", "it ends in the middle", self.base + at)
            try:
                part = inflate.decompress(pending, _STEP)
            except zlib.error as error:
                raise _BrokenError("damaged", _why(error), self.base + at - len(pending)) from None
            pending = inflate.unconsumed_tail
            if part:
                yield part
        self.used = at - len(inflate.unused_data)


def _gzip(data: Bytes) -> Iterator[bytes]:
    """All streams of a gzip in a row. Checksums are ours to check, so that a wrong one costs a problem and not the data."""
    view = memoryview(data)
    at = streams = 0
    wrong: _BrokenError | None = None
    while at < len(view):
        if bytes(view[at : at + 3]) != b"\x1f\x8b\x08":
            if bytes(view[at:][:4096]).strip(b"\0"):  # tapes and disks pad with zeros
                wrong = wrong or _BrokenError("trailing-data", f"{len(view) - at:,} bytes follow that are no gzip", at)
            break
        streams += 1
        if streams > MAX_STREAMS:
            raise _BrokenError("too-many-streams", f"more than MAX_STREAMS = {MAX_STREAMS:,} streams", at)
        begin = _gzip_header(view, at)
        stream = _Deflate(view[begin:], begin)
        crc = size = 0
        for part in stream.steps():
            crc, size = zlib.crc32(part, crc), size + len(part)
            yield part
        at = begin + stream.used + 8
        tail = bytes(view[at - 8 : at])
        if len(tail) < 8:
            wrong = wrong or _BrokenError("truncated", "its last bytes are missing", at)
        elif tail != crc.to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(4, "little"):
            wrong = wrong or _BrokenError("damaged", "its checksum does not fit its content", at - 8)
    if wrong:
        raise wrong


def _gzip_header(view: memoryview, at: int) -> int:
    """Offset of the deflate data of the stream that begins at `at` (RFC 1952, 2.3)."""
    head = bytes(view[at : at + 10])
    if len(head) < 10:
        raise _BrokenError("truncated", "it ends within its header", at)
    flags, end = head[3], at + 10
    if flags & 4:
        end += 2 + int.from_bytes(view[end : end + 2], "little")
    for bit in (8, 16):
        if flags & bit:
            zero = bytes(view[end : end + (64 << 10)]).find(b"\0")
            if zero < 0:
                raise _BrokenError("truncated", "it ends within its header", end)
            end += zero + 1
    return end + 2 if flags & 2 else end


def _zstd(data: Bytes) -> Iterator[bytes]:
    import zstandard

    context = zstandard.ZstdDecompressor(max_window_size=MAX_ZSTD_WINDOW)
    view = memoryview(data)
    at = 0
    while at < len(view):
        magic = bytes(view[at : at + 4])
        if magic[1:] == b"\x2a\x4d\x18" and 0x50 <= magic[0] <= 0x5F:  # a skippable frame
            at += 8 + int.from_bytes(view[at + 4 : at + 8], "little")
            continue
        if magic != b"\x28\xb5\x2f\xfd":
            raise _BrokenError("trailing-data", f"{len(view) - at:,} bytes follow that are no zstd", at)
        frame = context.decompressobj()
        while not frame.eof:
            feed = bytes(view[at : at + _ZSTD_FEED])
            if not feed:
                raise _BrokenError("truncated", "it ends in the middle", at)
            try:
                part = frame.decompress(feed)
            except (zstandard.ZstdError, MemoryError) as error:
                raise _BrokenError("damaged", _why(error), at) from None
            at += len(feed)
            if part:
                yield part
        at -= len(frame.unused_data)


def _xz(data: Bytes) -> Iterator[bytes]:
    import lzma

    def new() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_XZ_MEMORY)

    yield from _chained(data, new, (lzma.LZMAError, MemoryError, EOFError), b"\xfd7zXZ\x00")


def _bzip2(data: Bytes) -> Iterator[bytes]:
    import bz2

    yield from _chained(data, bz2.BZ2Decompressor, (OSError, ValueError, EOFError), b"BZh")


_STREAMS: dict[str, Callable[[Bytes], Iterator[bytes]]] = {"gzip": _gzip, "zstd": _zstd, "xz": _xz, "bzip2": _bzip2}


def _chained(
    data: Bytes, new: Callable[[], object], errors: tuple[type[Exception], ...], magic: bytes
) -> Iterator[bytes]:
    """Streams in a row of a decompressor with the interface of `bz2.BZ2Decompressor`."""
    from typing import Any

    view = memoryview(data)
    at = streams = 0
    while at < len(view):
        if bytes(view[at : at + len(magic)]) != magic:
            if bytes(view[at:][:4096]).strip(b"\0"):
                raise _BrokenError("trailing-data", f"{len(view) - at:,} bytes follow that are of another kind", at)
            return
        streams += 1
        if streams > MAX_STREAMS:
            raise _BrokenError("too-many-streams", f"more than MAX_STREAMS = {MAX_STREAMS:,} streams", at)
        stream: Any = new()
        while not stream.eof:
            feed: Bytes = b""
            if stream.needs_input:
                feed = view[at : at + _FEED]
                at += len(feed)
                if not feed:
                    raise _BrokenError("truncated", "it ends in the middle", at)
            try:
                part = stream.decompress(feed, _STEP)
            except errors as error:
                raise _BrokenError("damaged", _why(error), at - len(feed)) from None
            if part:
                yield part
        at -= len(stream.unused_data)


def _zip_entry(archive: object, info: object) -> Iterator[bytes]:
    """One file of a zip in steps; whatever zipfile raises on the way is what is broken."""
    from typing import Any

    opened: Any = archive
    entry: Any = info
    try:
        with opened.open(entry) as file:
            while part := file.read(_STEP):
                yield part
    except GeneratorExit:
        raise
    except Exception as error:  # BadZipFile, zlib.error, EOFError, struct.error, NotImplementedError, OSError, ...
        code = "truncated" if isinstance(error, EOFError) else "damaged"
        raise _BrokenError(code, _why(error), int(entry.header_offset)) from None


def _tar_checksum(head: bytes) -> bool:
    """Whether a block is a tar header: its sum with the checksum's own field as blanks (POSIX ustar)."""
    field = head[148:156].strip(b" \0")
    if not field or not all(48 <= c <= 55 for c in field) or len(field) > 7:
        return False
    return sum(head[:148]) + 8 * 32 + sum(head[156:512]) == int(field, 8)


def _tar_number(field: bytes) -> int:
    """Octal, or base 256 where the first bit is set (GNU); anything else is 0."""
    if field[:1] >= b"\x80":
        return int.from_bytes(field[4:], "big") if field[0] == 0x80 else 0
    text = field.split(b"\0", 1)[0].strip()
    return int(text, 8) if text and all(48 <= c <= 55 for c in text) else 0


def _tar_name(head: bytes) -> str:
    name = head[:100].split(b"\0", 1)[0]
    prefix = head[345:500].split(b"\0", 1)[0] if head[257:262] == b"ustar" and head[257:265] != b"ustar  \0" else b""
    return (prefix + b"/" + name if prefix else name).decode("utf-8", "replace")


def _tar_long_name(content: bytes, kind: bytes) -> str:
    """The path of a GNU `L` or a pax `x` record (`length path=...\\n`)."""
    if kind == b"L":
        return content.split(b"\0", 1)[0].decode("utf-8", "replace")
    at = content.find(b" path=")
    while at > 0:
        digits = at
        while digits > 0 and at - digits < 6 and 48 <= content[digits - 1] <= 57:
            digits -= 1
        if digits < at and (digits == 0 or content[digits - 1] == 10):
            return content[at + 6 : digits + int(content[digits:at]) - 1].decode("utf-8", "replace")
        at = content.find(b" path=", at + 1)
    return ""


def _name(name: str) -> str:
    return name if len(name) <= MAX_NAME else "..." + name[-MAX_NAME:]


def _why(error: Exception) -> str:
    return ascii(str(error))[1:-1][:120] or type(error).__name__
