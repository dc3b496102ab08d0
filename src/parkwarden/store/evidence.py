"""Evidence: what led to a verdict, as it came but redacted, under the hash of its content, in a folder or any fsspec store (S3).

    ab/ab12...ef.pb.gz       pprof: gzip, opens with `go tool pprof` as it lies there
    ab/ab12...ef.zst         anything else (dumps, traces): zstd
    ab/ab12...ef.json        what it is (EvidenceItem), written last: what has none is not there

Nothing reaches the disk before `redact` has seen it: a callable from the layer above, (kind, bytes) -> (bytes, redactions). Files are
written beside their place, forced to the disk and renamed; an object store's own puts are atomic. The digest is that of the redacted,
uncompressed bytes, checked again when read, so a damaged file is never shown as evidence.

`put` of the same bytes is one item. `prune` goes by age, number and bytes, the oldest first, and never touches what it is told to keep.
One process writes; methods are safe from several threads.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import orjson

from parkwarden.formats.profile_proto import gunzip
from parkwarden.model.capture import Capture
from parkwarden.model.errors import LimitError, StoreError, UsageError
from parkwarden.model.incident import EvidenceItem
from parkwarden.model.instance import Secret
from parkwarden.store.codec import from_plain, to_plain
from parkwarden.store.settings import DAY_S, StoreSettings

Redact: TypeAlias = Callable[[str, bytes], tuple[bytes, int]]
"""(kind of artefact, bytes as they came) -> (bytes without secrets, how many there were). A gzipped profile comes back gzipped."""

Digests: TypeAlias = list[str]

MAX_OPEN = 512 << 20
"""Bytes of one item, uncompressed: the collector takes 128 MB at most, so what claims more is no evidence of ours."""
MAX_DESCRIPTION = 1 << 20
"""Bytes of what is said about one item: ours have 1 kB, with thousands of sites 100."""
MIN_PREFIX = 6
"""Hex digits that name an item on the command line; among 20,000 items six are ambiguous once in a thousand."""
ORPHAN_S = 3600.0
"""A file without description is younger than this while somebody writes it; older, a crash left it."""
_ZSTD_LEVEL = 3
"""zstd's own: a text dump shrinks 30 times at 300 MB/s; higher levels cost the watch's processor for a tenth less."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_OURS = re.compile(r"[0-9a-f]{2}/(?:[0-9a-f]{64}\.(?:json|zst|pb\.gz)|\.tmp-.+)")
"""What may be there of ours. Anything else in the folder is somebody else's, and is neither read nor swept away."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_GZIP = b"\x1f\x8b"


class _Files(Protocol):
    """Where the files lie: names are `ab/abcd.json`."""

    def write(self, name: str, data: bytes) -> None: ...
    def read(self, name: str, limit: int) -> bytes: ...
    def delete(self, name: str) -> None: ...
    def names(self) -> Iterator[str]: ...
    def age_s(self, name: str) -> float: ...


class EvidenceStore:
    """Evidence at `url` (a folder's path or an fsspec URL). Nothing is touched before the first call."""

    def __init__(self, url: str | Path, redact: Redact, settings: StoreSettings | None = None) -> None:
        self._settings = settings or StoreSettings()
        self._redact = redact
        self._files = _files(str(url), self._settings)
        self._known: dict[str, EvidenceItem] | None = None
        self._lock = threading.RLock()
        self.damaged = 0
        """Descriptions that could not be read when the store was listed."""

    def put(self, capture: Capture, labels: dict[str, str] | None = None) -> EvidenceItem:
        """Redact, compress, keep; the item as kept (the first one, if these bytes are there already).

        On the disk when it returns. Raises StoreError; only a `passing` one is worth trying again.
        """
        try:
            body, redacted = self._redact(capture.kind, capture.body)
            packed = body.startswith(_GZIP)
            digest = blake2b(_unpacked(body) if packed else body, digest_size=32).hexdigest()
        except LimitError as error:  # what cannot be looked through is not kept, now or later
            raise StoreError(
                "evidence-refused", f"A capture cannot be redacted: {error.message}", context=capture.kind
            ) from error
        with self._lock:
            known = self._items()
            if digest in known:
                return known[digest]
        stored = body if packed else _compressed(body)
        item = EvidenceItem(
            digest=digest,
            kind=capture.kind,
            instance=capture.instance,
            service=capture.service,
            at=capture.at,
            bytes=len(body),
            stored_bytes=len(stored),
            site_ids=capture.site_ids,
            why=capture.why,
            redacted=redacted,
            labels=labels or {},
            file=_file_name(capture, packed),
        )
        description = orjson.dumps(to_plain(item), option=orjson.OPT_INDENT_2)
        with _told():
            self._files.write(_blob(digest, packed), stored)
            self._files.write(_description(digest), description)
        with self._lock:
            return self._items().setdefault(digest, item)

    def list(
        self, *, service: str | None = None, instance: str | None = None, since: float | None = None
    ) -> list[EvidenceItem]:
        """Items that match, newest first."""
        with self._lock:
            items = list(self._items().values())
        found = [
            item
            for item in items
            if (service is None or item.service == service)
            and (instance is None or item.instance == instance)
            and (since is None or item.at >= since)
        ]
        return sorted(found, key=lambda item: (-item.at, item.digest))

    def find(self, prefix: str) -> EvidenceItem:
        """The one item whose digest begins so. Raises UsageError `evidence-unknown` or `evidence-ambiguous`."""
        prefix = prefix.lower()
        with self._lock:
            found = [item for digest, item in self._items().items() if digest.startswith(prefix)]
        if len(prefix) < MIN_PREFIX or not found:
            raise UsageError(
                "evidence-unknown",
                f"no evidence of a digest that begins with {prefix[:64]!r}",
                hint=f"give at least {MIN_PREFIX} digits of one that `parkwarden evidence list` shows",
            )
        if len(found) > 1:
            raise UsageError("evidence-ambiguous", f"{len(found)} items begin with {prefix!r}", hint="give more digits")
        return found[0]

    def open(self, digest: str) -> tuple[EvidenceItem, bytes]:
        """An item (by digest or its first digits) and its bytes, as the field's own tools read them: pprof gzipped, others plain."""
        item = self.find(digest)
        packed = item.file.endswith(".pb.gz")
        with _told():
            stored = self._files.read(_blob(item.digest, packed), MAX_OPEN)
        try:
            plain = _unpacked(stored) if packed else _decompressed(stored)
        except (ValueError, LimitError):
            plain = b""
        if blake2b(plain, digest_size=32).hexdigest() != item.digest:
            raise StoreError(
                "evidence-damaged",
                "The stored bytes are not those that were kept.",
                context=f"{item.digest} ({item.file})",
                hint="Restore the file from a backup, or delete it.",
            )
        return item, stored if packed else plain

    def prune(self, now: float, pinned: Collection[str] = ()) -> Digests:
        """Delete what is too old or too much, and what a crash left; digests of the items deleted. `pinned` ones stay."""
        with self._lock:
            items = sorted(self._items().values(), key=lambda item: item.at)
        count, total = len(items), sum(item.stored_bytes for item in items)
        gone: list[str] = []
        for item in items:
            old = item.at < now - self._settings.evidence_days * DAY_S
            much = count > self._settings.evidence_max_items or total > self._settings.evidence_max_bytes
            if (old or much) and item.digest not in pinned:
                with _told():  # the description first: a crash between the two leaves an orphan, not a promise
                    self._files.delete(_description(item.digest))
                    self._files.delete(_blob(item.digest, item.file.endswith(".pb.gz")))
                with self._lock:
                    self._items().pop(item.digest, None)
                gone.append(item.digest)
                count -= 1
                total -= item.stored_bytes
        self._sweep()
        return gone

    def _sweep(self) -> None:
        """Delete files that no item owns and nobody writes any more."""
        with self._lock:
            known = set(self._items())
        with _told():
            for name in self._files.names():
                stem = name.rpartition("/")[2].partition(".")[0]
                if stem not in known and self._files.age_s(name) > ORPHAN_S:
                    self._files.delete(name)

    def _items(self) -> dict[str, EvidenceItem]:
        """All items, read from their descriptions the first time; the caller has the lock."""
        if self._known is None:
            known: dict[str, EvidenceItem] = {}
            with _told():
                for name in self._files.names():
                    if name.endswith(".json") and "/." not in name:  # `.tmp-...` is being written, or a crash left it
                        item = self._described(name)
                        if item is not None:
                            known[item.digest] = item
            self._known = known
        return self._known

    def _described(self, name: str) -> EvidenceItem | None:
        try:
            item = from_plain(EvidenceItem, orjson.loads(self._files.read(name, MAX_DESCRIPTION)))
            sound = _is_sound(item) and name == _description(item.digest)
        except (ValueError, TypeError, KeyError, AttributeError, OSError):
            self.damaged += 1
            return None
        if not sound:
            self.damaged += 1
            return None
        return replace(item, file=_safe_name(str(item.file)))


def _is_sound(item: EvidenceItem) -> bool:
    """Whether what a description said is of the kinds it should be: folders are copied, edited and sent around."""
    texts = (item.digest, item.kind, item.instance, item.service, item.why, item.file, *item.site_ids)
    texts += (*item.labels, *item.labels.values())
    numbers = (item.bytes, item.stored_bytes, item.redacted)
    right = all(isinstance(text, str) for text in texts) and all(type(number) is int for number in numbers)
    return right and _DIGEST.fullmatch(item.digest) is not None


def _description(digest: str) -> str:
    return f"{digest[:2]}/{digest}.json"


def _blob(digest: str, packed: bool) -> str:
    return f"{digest[:2]}/{digest}{'.pb.gz' if packed else '.zst'}"


def _file_name(capture: Capture, packed: bool) -> str:
    """A name that opens in the field's tools and cannot lead out of a folder."""
    name = _safe_name(capture.file) or capture.kind
    for suffix in (".pb.gz", ".gz", ".zst"):
        name = name.removesuffix(suffix)
    return name + (".pb.gz" if packed else "")


def _safe_name(name: str) -> str:
    return _UNSAFE.sub("_", name.replace("\\", "/").rpartition("/")[2]).lstrip(".")[:120]


def _unpacked(body: bytes) -> bytes:
    return gunzip(body, MAX_OPEN)[0]


def _compressed(body: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True).compress(body)


def _decompressed(stored: bytes) -> bytes:
    """Raises ValueError for what is no zstd or too much."""
    import zstandard

    try:
        with zstandard.ZstdDecompressor().stream_reader(stored) as reader:
            plain = reader.read(MAX_OPEN + 1)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error
    if len(plain) > MAX_OPEN:
        raise ValueError("too big")
    return plain


# ---- where files lie


def _files(url: str, settings: StoreSettings) -> _Files:
    if "://" not in url:
        return _Folder(Path(url))
    if url.startswith("file://"):
        return _Folder(Path(url.removeprefix("file://")))
    return _Remote(url, settings)


class _Folder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, name: str, data: bytes) -> None:
        final = self._folder / name
        for folder in (self._folder, final.parent):  # each by itself: the mode is not for parents
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = final.parent / f".tmp-{os.getpid()}-{threading.get_ident()}-{final.name}"
        try:
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, final)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        fd = os.open(final.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)  # the name too
        finally:
            os.close(fd)

    def read(self, name: str, limit: int) -> bytes:
        """No link is followed, no pipe waited for: what lies in the folder may have been put there."""
        fd = os.open(self._folder / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise OSError(errno.EINVAL, "not a regular file")
            return _whole(file.read(limit + 1), limit)

    def delete(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)

    def names(self) -> Iterator[str]:
        if not self._folder.is_dir():
            return
        for folder in sorted(self._folder.iterdir()):
            if len(folder.name) == 2 and folder.is_dir() and not folder.is_symlink():
                names = (f"{folder.name}/{path.name}" for path in sorted(folder.iterdir()))
                yield from filter(_OURS.fullmatch, names)

    def age_s(self, name: str) -> float:
        """By the file system's clock: `prune`'s may be a test's or a replay's."""
        try:
            return time.time() - (self._folder / name).stat().st_mtime
        except OSError:
            return 0.0


class _Remote:
    """Any file system fsspec knows. Its puts are whole objects; one that failed is not there."""

    def __init__(self, url: str, settings: StoreSettings) -> None:
        self._url = url.rstrip("/")
        self._options = {
            key: value.reveal() if isinstance(value, Secret) else value for key, value in settings.evidence_options
        }
        self._made: Any = None

    def _system(self) -> tuple[Any, str]:
        if self._made is None:
            try:
                from fsspec.core import url_to_fs  # type: ignore[import-untyped]

                self._made = url_to_fs(self._url, **self._options)
            except (ImportError, ValueError) as error:
                raise StoreError(
                    "evidence-url",
                    f"Evidence cannot be kept at {self._url.partition('://')[0]}://: {error}",
                    hint="For S3 install parkwarden[s3]; other stores need their fsspec package.",
                ) from error
        return self._made  # type: ignore[no-any-return]

    def write(self, name: str, data: bytes) -> None:
        system, root = self._system()
        system.pipe_file(f"{root}/{name}", data)

    def read(self, name: str, limit: int) -> bytes:
        system, root = self._system()
        return _whole(bytes(system.cat_file(f"{root}/{name}", start=0, end=limit + 1)), limit)

    def delete(self, name: str) -> None:
        system, root = self._system()
        try:
            system.rm_file(f"{root}/{name}")
        except FileNotFoundError:
            return

    def names(self) -> Iterator[str]:
        system, root = self._system()
        system.invalidate_cache()
        for path in sorted(system.find(root)):
            name = "/".join(path.split("/")[-2:])
            if _OURS.fullmatch(name):
                yield name

    def age_s(self, _name: str) -> float:
        return 0.0  # an object is there wholly or not at all; one without description is left to the bucket's own rules


def _whole(data: bytes, limit: int) -> bytes:
    if len(data) > limit:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return data


@contextmanager
def _told() -> Iterator[None]:
    """Turn what a disk or an object store raises into StoreError; texts of remote errors may name keys, so only their type is told."""
    try:
        yield
    except StoreError:
        raise
    except FileNotFoundError as error:
        raise StoreError(
            "evidence-missing", "The evidence's file is gone.", hint="Restore it from a backup."
        ) from error
    except Exception as error:
        if isinstance(error, OSError) and error.strerror:
            raise StoreError(
                "disk-full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "evidence-unwritable",
                f"Evidence cannot be kept or read: {error.strerror}.",
                hint="Make room, or let Parkwarden write there (store.folder, store.evidence_url); it is tried again.",
                passing=True,
            ) from error
        raise StoreError(
            "evidence-away",
            f"The evidence store does not answer ({type(error).__name__}).",
            hint="Check store.evidence_url, its credentials and the network; it is tried again.",
            passing=True,
        ) from error
