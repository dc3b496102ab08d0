"""Redaction of evidence: no secret is kept, and what is kept still opens in the field's own tools."""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.formats import goroutine_dump, profile_proto, rewrite, trace
from parkwarden.model import Capture, Frame, Profile, Stack
from parkwarden.report.redact import Redactor
from parkwarden.run.evidence import mask, open_store, redact_bytes
from parkwarden.store.settings import StoreSettings

SECRETS = ["alice@example.com", "ghp_0123456789abcdefghijABCDEFGHIJ", "/home/alice/src/main.go", "password=hunter2!"]


def secret_profile() -> bytes:
    stacks = [Stack((Frame("main.f", "/home/alice/src/main.go", 7),))]
    labels = [{}, {"user": "alice@example.com", "token": "abcdef12345", "path": "/checkout"}]
    one = np.zeros(1, dtype=np.int64)
    return profile_proto.write(
        Profile(
            sample_types=[("goroutine", "count")],
            stacks=stacks,
            stack=one,
            values=np.ones((1, 1), dtype=np.int64),
            labels=labels,
            label=one + 1,
            comments=("password=hunter2!",),
        )
    )


def test_a_profile_keeps_everything_but_its_secrets(go: str, tmp_path: Path) -> None:
    """Strings and values of labels are redacted within the protobuf; go tool pprof still reads it."""
    body, count = redact_bytes("goroutine-profile", secret_profile())
    plain = gzip.decompress(body)
    for secret in (b"alice", b"hunter2", b"abcdef12345"):
        assert secret not in plain
    assert count >= 4
    profile = profile_proto.read(body).profile
    assert profile is not None
    assert profile.stacks[0].frames[0] == Frame("main.f", "/home/[redacted:user]/src/main.go", 7)
    assert profile.labels[1]["path"] == "/checkout"
    (tmp_path / "p.pb.gz").write_bytes(body)
    said = subprocess.run(
        [go, "tool", "pprof", "-top", tmp_path / "p.pb.gz"], capture_output=True, text=True, check=True
    )
    assert "main.f" in said.stdout


def test_real_profiles_stay_as_they_are(data: Path) -> None:
    """A profile without secrets keeps every field, byte for byte, whatever Go version wrote it."""
    paths = sorted((data / "profile_proto").glob("go1.*/*.pb.gz"))
    assert paths
    for path in paths:
        message = gzip.decompress(path.read_bytes())
        assert gzip.decompress(rewrite.profile(message, lambda text: text, lambda _key, value: value)) == message


def test_a_plain_profile_comes_back_gzipped() -> None:
    """The protobuf without gzip is recognised by its kind and content."""
    body, _ = redact_bytes("goroutine-profile", gzip.decompress(secret_profile()))
    assert profile_proto.sniff(body)
    assert body.startswith(b"\x1f\x8b")


@pytest.mark.parametrize("cut", [1, 7, 50, 200])
def test_a_torn_profile_tells_no_secret(cut: int) -> None:
    """A profile cut anywhere is kept up to the cut, redacted."""
    plain = gzip.decompress(secret_profile())
    body, _ = redact_bytes("goroutine-profile", gzip.compress(plain[:-cut]))
    kept = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
    assert b"hunter2!" not in kept
    assert b"alice@" not in kept


def test_a_trace_keeps_its_length_and_reads_the_same(data: Path) -> None:
    """Strings of a trace are masked in place: the same census, without the secret, in every generation."""
    paths = sorted((data / "trace").glob("1.2[2-7]/*.trace"))
    assert paths
    for path in paths:
        before = path.read_bytes()
        snapshot = trace.read(before).snapshot
        assert snapshot is not None
        name = max((f.file for s in snapshot.stacks for f in s.frames), key=len, default="")
        planted = before.replace(name.encode(), f"/home/alice/{'x' * 400}"[: len(name) - 5].encode() + b"/a.go")
        assert b"/home/alice/" in planted
        body, count = redact_bytes("trace", planted)
        assert count >= 1
        assert len(body) == len(before)
        assert b"alice" not in body
        found, original = trace.read(body), trace.read(planted)
        assert found.snapshot is not None
        assert found.snapshot.total == snapshot.total
        assert found.problems == original.problems
        assert redact_bytes("trace", before)[0] == before


def test_a_damaged_trace_tells_no_secret(data: Path) -> None:
    """Where batches cannot be walked every printable run is masked."""
    path = next((data / "trace").glob("1.26/*.trace"))
    body = path.read_bytes()
    broken = body[:16] + b"\xff" * 40 + body[56:] + b" password=hunter2! \x00"
    assert b"hunter2" not in redact_bytes("trace", broken)[0]
    old = b"go 1.21 trace\0\0\0" + b"\x25\x01\x11alice@example.com\x00"
    assert b"alice@" not in redact_bytes("trace", old)[0]


def test_a_dump_reads_the_same_afterwards(data: Path) -> None:
    """A text dump without secrets is kept byte for byte; with them only they go, over the border of blocks too."""
    path = data / "goroutine_dump" / "1.27" / "debug2.txt"
    dump = path.read_bytes()
    clean, _ = redact_bytes("goroutine-dump", dump)
    assert len(goroutine_dump.read(clean).snapshot.stacks) == len(goroutine_dump.read(dump).snapshot.stacks)  # type: ignore[union-attr]
    long = b"goroutine 1 [running]:\nmain.f(0x1)\n\t/home/alice/src/a.go:1 +0x1\n\n" * 5000
    body, count = redact_bytes("goroutine-dump", long)
    assert b"alice" not in body
    assert count > 1
    assert body.count(b"main.f(0x1)") == 5000


def test_a_private_key_over_blocks_goes_whole() -> None:
    """A key longer than a block is not cut in two."""
    text = (
        b"a\n" * 32_760 + b"-----BEGIN RSA PRIVATE KEY-----\n" + b"QUJD\n" * 200 + b"-----END RSA PRIVATE KEY-----\nb\n"
    )
    body, _ = redact_bytes("goroutine-dump", text)
    assert b"QUJD" not in body
    assert body.endswith(b"b\n")


@given(st.binary(max_size=400), st.sampled_from(["trace", "goroutine-profile", "goroutine-dump", "", "heap-profile"]))
def test_hostile_bytes_are_kept_somehow(body: bytes, kind: str) -> None:
    """Whatever a watched process answers, redaction comes back with bytes."""
    for lead in (b"", b"\x1f\x8b\x08\x00", b"go 1.26 trace\0\0\0", b"go 1.21 trace\0\0\0"):
        kept, count = redact_bytes(kind, lead + body)
        assert isinstance(kept, bytes)
        assert count >= 0


@given(st.lists(st.sampled_from([*SECRETS, "main.f", " ", "/", "=", "密", "a.go:12", "\n"]), max_size=6).map("".join))
def test_a_mask_keeps_the_length_and_no_secret(text: str) -> None:
    """Masked text has as many bytes, and what redaction found is not in it."""
    masked = mask(text, Redactor().text(text))
    assert len(masked.encode()) == len(text.encode())
    for secret in ("alice", "hunter2", "ghp_0123"):
        assert secret not in masked or secret in Redactor().text(text)


def test_a_mask_keeps_what_is_clear() -> None:
    """Only the secret goes where it is clear which part it is; everything between where it is not."""
    assert mask("/home/al/src/a.go", "/home/[redacted:user]/src/a.go") == "/home/**/src/a.go"
    assert mask("a x b x c", "[redacted:a] x [redacted:b]") == "*********"
    assert mask("nothing", "nothing") == "nothing"


def test_what_is_stored_opens_with_go(go: str, tmp_path: Path) -> None:
    """The file lies in the store as go tool pprof reads it."""
    store = open_store(StoreSettings(folder=str(tmp_path)))
    capture = Capture(
        instance="a:1", service="shop", kind="goroutine-profile", at=1.0, body=secret_profile(), why="on beat"
    )
    item = store.put(capture)
    path = tmp_path / "evidence" / item.digest[:2] / f"{item.digest}.pb.gz"
    said = subprocess.run([go, "tool", "pprof", "-top", path], capture_output=True, text=True, check=True)
    assert "main.f" in said.stdout
    assert store.open(item.digest)[1] == path.read_bytes()
