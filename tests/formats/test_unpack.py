"""Containers: what is inside comes out, what is broken costs itself, bombs end at named limits."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from parkwarden.formats import unpack
from parkwarden.formats.unpack import Member, container, members

TEXT = b"".join(
    b"goroutine %d [chan receive]:\nmain.f(0x%x)\n\t/src/main.go:%d +0x1d\n\n" % (i, i * 77, i) for i in range(9000)
)


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def tarred(files: dict[str, bytes], fmt: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=fmt) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


STREAMS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
}


def codes(found: list[Member]) -> list[str]:
    return [p.code for m in found for p in m.problems]


def test_plain_data_is_not_copied() -> None:
    """Most input is in no container: it must cost nothing."""
    (only,) = members(TEXT, "dump.txt")
    assert only.data is TEXT
    assert only.problems == ()


@pytest.mark.parametrize("kind", sorted(STREAMS))
def test_streams_come_out_whole(kind: str) -> None:
    """One stream, several in a row, an empty one; the name stays, since a stream has no inner name."""
    pack = STREAMS[kind]
    assert container(pack(TEXT)) == kind
    for packed, plain in ((pack(TEXT), TEXT), (pack(TEXT) + pack(b"more"), TEXT + b"more"), (pack(b""), b"")):
        assert list(members(packed, "x")) == [Member("x", plain)]


@pytest.mark.parametrize("kind", sorted(STREAMS))
def test_a_truncated_stream_gives_what_there_is(kind: str) -> None:
    """An upload that broke off is still evidence: a prefix comes out, with a problem that says how much."""
    packed = STREAMS[kind](TEXT)
    for keep in (len(packed) // 2, len(packed) - 3):
        (only,) = members(packed[:keep], "x")
        assert TEXT.startswith(bytes(only.data))
        assert [p.code for p in only.problems] == ["truncated"]
        if kind != "bzip2" and keep == len(packed) - 3:
            assert len(only.data) > len(TEXT) // 2


@pytest.mark.parametrize("kind", sorted(STREAMS))
def test_a_damaged_stream_is_a_problem(kind: str) -> None:
    """A flipped bit in the middle is told, never raised, and what comes before it is kept."""
    packed = bytearray(STREAMS[kind](TEXT))
    packed[len(packed) // 2] ^= 0x55
    (only,) = members(bytes(packed), "x")
    assert only.problems


def test_a_wrong_gzip_checksum_keeps_the_data() -> None:
    """The content is all there; only its checksum does not fit."""
    packed = bytearray(gzip.compress(TEXT))
    packed[-6] ^= 1
    (only,) = members(bytes(packed), "x")
    assert only.data == TEXT
    assert [p.code for p in only.problems] == ["damaged"]


def test_gzip_with_all_optional_fields() -> None:
    """RFC 1952's extra field, name, comment and header checksum are passed over; padding zeros too."""
    raw = zlib.compressobj(wbits=-15)
    body = raw.compress(TEXT) + raw.flush()
    head = b"\x1f\x8b\x08\x1e" + bytes(6) + b"\x03\0abc" + b"name\0" + b"comment\0" + b"\0\0"
    tail = zlib.crc32(TEXT).to_bytes(4, "little") + len(TEXT).to_bytes(4, "little")
    assert list(members(head + body + tail + bytes(100), "x")) == [Member("x", TEXT)]
    assert codes(list(members(head + body + tail + b"junk", "x"))) == ["trailing-data"]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_zip_members_are_named_by_their_path(method: int) -> None:
    """Names say the way: archive, then the path in it."""
    files = {"a/goroutine.txt": TEXT, "b.bin": b"\0" * 100}
    found = list(members(zipped(files, method), "bag.zip"))
    assert found == [Member(f"bag.zip!{name}", data) for name, data in files.items()]


@pytest.mark.parametrize("fmt", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar_members_with_long_names(fmt: int) -> None:
    """ustar's prefix, GNU's long name record and pax's path record all give the whole path."""
    long = "/".join(["folder-of-an-incident"] * 8) + "/dump.txt"
    files = {"short.txt": TEXT, long: b"deep", "empty": b""}
    found = list(members(tarred(files, fmt), "bag.tar"))
    assert [(m.name, bytes(m.data)) for m in found] == [(f"bag.tar!{n}", d) for n, d in files.items()]


def test_containers_nest_in_any_mix() -> None:
    """zip of tar.gz of gzip of a profile, as support bundles come."""
    inner = tarred({"pod/goroutine.pb.gz": gzip.compress(b"\x0aproto"), "pod/log.xz": lzma.compress(TEXT)})
    bag = zipped({"node/pod.tar.zst": zstandard.ZstdCompressor().compress(inner), "note": b"hello"})
    found = {m.name: bytes(m.data) for m in members(bag, "bag.zip")}
    assert found == {
        "bag.zip!node/pod.tar.zst!pod/goroutine.pb.gz": b"\x0aproto",
        "bag.zip!node/pod.tar.zst!pod/log.xz": TEXT,
        "bag.zip!note": b"hello",
    }


def test_one_broken_zip_member_does_not_cost_the_others() -> None:
    """The first file's bytes are damaged: it has a problem, the second is read."""
    bag = bytearray(zipped({"a": TEXT, "b": b"fine"}))
    bag[2000] ^= 0xFF
    found = list(members(bytes(bag), "z"))
    assert [m.name for m in found] == ["z!a", "z!b"]
    assert [p.code for p in found[0].problems] == ["damaged"]
    assert found[1] == Member("z!b", b"fine")


def test_a_cut_zip_is_read_by_its_local_headers() -> None:
    """The directory stands at the end of a zip: where it is missing, the files before the cut still come."""
    whole = zipped({"a": TEXT, "b": TEXT[::-1]})
    found = list(members(whole[: len(whole) - 2000], "z"))
    assert found[0].problems[0].code == "damaged-container"
    assert found[1] == Member("z!a", TEXT)
    assert found[2].name == "z!b"
    assert TEXT[::-1].startswith(bytes(found[2].data))
    assert [p.code for p in found[2].problems] == ["truncated"]


def test_a_cut_or_damaged_tar_gives_its_other_files() -> None:
    """A header that is none costs its file; a cut costs the end of the last one."""
    whole = bytearray(tarred({"a": b"1" * 600, "b": b"2" * 600, "c": b"3" * 600}, tarfile.USTAR_FORMAT))
    found = list(members(bytes(whole[: 512 * 8]), "t"))
    assert [m.name for m in found] == ["t!a", "t!b", "t!c"]
    assert [p.code for p in found[2].problems] == ["truncated"]
    whole[512 * 3 + 5] ^= 0xFF
    found = list(members(bytes(whole), "t"))
    assert [m.name for m in found] == ["t!a", "t", "t!c"]
    assert codes(found) == ["damaged-container"]


def test_encrypted_and_unknown_methods_are_told() -> None:
    """A password or a method that is not read is a problem of that file only."""
    bag = bytearray(zipped({"a": b"secret", "b": b"fine"}, zipfile.ZIP_STORED))
    at = bag.index(b"PK\x01\x02")
    bag[at + 8] |= 1
    assert codes(list(members(bytes(bag), "z"))) == ["encrypted"]
    assert codes(list(members(zipped({"a": TEXT}, zipfile.ZIP_LZMA), "z"))) == ["unsupported-compression"]


def bomb(levels: int = 1) -> bytes:
    packed = gzip.compress(bytes(200 << 20), 9)
    for _ in range(levels - 1):
        packed = gzip.compress(packed)
    return packed


@pytest.mark.parametrize(
    "make",
    [
        bomb,
        lambda: bomb(2),
        lambda: zstandard.ZstdCompressor().compress(bytes(1 << 30)),
        lambda: zipped({str(i): bytes(20 << 20) for i in range(10)}),
        lambda: zipped({"a": bomb(), "b": bomb()}),
    ],
    ids=["gzip", "gzip-in-gzip", "zstd", "zip-many", "zip-of-bombs"],
)
def test_bombs_end_at_the_ratio(make: Callable[[], bytes]) -> None:
    """What unpacks to hundreds of times its size ends early, with a problem that names the limit, and the process lives."""
    packed = make()
    began = time.process_time()
    found = list(members(packed, "bomb"))
    assert "decompression-bomb" in codes(found)
    assert sum(len(m.data) for m in found) <= unpack.RATIO_FLOOR
    assert time.process_time() - began < 2


def test_members_total_and_depth_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each limit ends the reading with a problem of its own name; what came before is given."""
    monkeypatch.setattr(unpack, "MAX_MEMBERS", 3)
    found = list(members(zipped({str(i): b"x" for i in range(9)}), "z"))
    assert len(found) == 4
    assert codes(found) == ["too-many-members"]
    monkeypatch.setattr(unpack, "MAX_MEMBER_BYTES", 1000)
    assert codes(list(members(gzip.compress(TEXT), "x"))) == ["member-too-large"]
    monkeypatch.setattr(unpack, "MAX_TOTAL_BYTES", 900)
    assert codes(list(members(gzip.compress(TEXT), "x"))) == ["too-large"]
    packed = b"deep"
    for _ in range(unpack.MAX_DEPTH + 2):
        packed = gzip.compress(packed)
    assert codes(list(members(packed, "x"))) == ["too-deep"]


def test_many_tiny_streams_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Millions of empty gzip streams in a row cost time, not bytes: their number is limited."""
    monkeypatch.setattr(unpack, "MAX_STREAMS", 100)
    assert codes(list(members(gzip.compress(b"") * 200, "x"))) == ["too-many-streams"]


@pytest.mark.parametrize("kind", [*sorted(STREAMS), "zip", "tar"])
def test_every_prefix_is_read_without_an_exception(kind: str) -> None:
    """Cut anywhere: something or a problem comes out, and the loop ends."""
    small = b"goroutine 1 [running]:\n" * 20
    packed = (
        zipped({"a": small, "b": small})
        if kind == "zip"
        else tarred({"a": small})
        if kind == "tar"
        else STREAMS[kind](small)
    )
    for end in range(0, len(packed), 7):
        for member in members(packed[:end], "x"):
            assert isinstance(member, Member)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([*sorted(STREAMS), "zip", "tar"]), st.integers(0, 10**6), st.binary(min_size=1, max_size=8))
def test_any_damage_is_survived(kind: str, at: int, patch: bytes) -> None:
    """Bytes overwritten anywhere never raise, and never give more than the format can hold in so few bytes.

    A damaged bzip2 block may decode to runs: 900 kB of run lengths stand for 51 times as much.
    """
    small = bytes(range(256)) * 4
    packed = (
        zipped({"a": small, "b": small})
        if kind == "zip"
        else tarred({"a": small})
        if kind == "tar"
        else STREAMS[kind](small)
    )
    at %= len(packed)
    damaged = packed[:at] + patch + packed[at + len(patch) :]
    for member in members(damaged, "x"):
        assert len(member.data) <= (51 * 900_000 if kind == "bzip2" else 4 * len(packed) + 4096)
