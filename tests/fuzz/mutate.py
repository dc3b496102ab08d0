"""Mutations of real samples, replayable: case N of seed S is always the same bytes."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

MAX_SAMPLE_BYTES = 96 * 1024
"""Bigger samples would make cases slow without making them different."""

MAX_CASE_BYTES = 256 * 1024

TOKENS = (
    b"goroutine 1 [chan receive, 5 minutes]:\n", b"created by main.f in goroutine 1\n", b"...12 frames elided...\n",
    b"[originating from goroutine 7]:\n", b"{\"k\": \"v\"}", b" labels:{", b"(...)", b"0x", b"\t", b"\n\n", b"\r\n", b"\x00",
    b"\x1b[31m", b"\xff" * 9 + b"\x01", b"\xff\xff\xff\xff\x7f", b"\x80" * 12, b"go 1.26 trace\x00\x00\x00",
    b"go 1.22 trace\x00\x00\x00", b"\x1f\x8b\x08\x00", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"\xfd7zXZ\x00",
    b"heap profile: 1: 1 [1: 1] @ heap/1048576\n", b"goroutine profile: total 99999999999999999999\n",
    b"--- contention:\ncycles/second=0\n", b"--- mutex:\nsampling period=0\n", b"# HELP a b\n# TYPE a counter\n",
    b"go_goroutines NaN\n", b"go_goroutines 1e999\n", b"panic: ", b"fatal error: stack overflow\n",
    b"runtime: goroutine stack exceeds 1000000000-byte limit\n", b"{\"memstats\":{", b"[" * 500, b"{\"a\":" * 500,
    b"\xe2\x80\xae", b"<script>", b"9" * 400, b"-1", b"18446744073709551616",
)  # fmt: skip


def load_corpus(folder: Path) -> list[tuple[str, bytes]]:
    """Real samples below `folder` (compressed ones also as their content), smallest names first."""
    corpus: list[tuple[str, bytes]] = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.suffix in {".go", ".md", ".mod", ".sum", ".py"}:
            continue
        data = path.read_bytes()
        name = str(path.relative_to(folder))
        if len(data) <= MAX_SAMPLE_BYTES:
            corpus.append((name, data))
        if data[:2] == b"\x1f\x8b":
            plain = gzip.decompress(data)[:MAX_SAMPLE_BYTES]
            corpus.append((f"{name} (content)", plain))
    return corpus


def case(corpus: list[tuple[str, bytes]], seed: int, number: int) -> tuple[str, bytes]:
    """The bytes of one case and the sample it came from."""
    rng = random.Random(seed * 1_000_003 + number)
    name, data = corpus[rng.randrange(len(corpus))]
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5, 8, 20))):
        _mutate(out, corpus, rng)
    return name, bytes(out[:MAX_CASE_BYTES])


def _mutate(out: bytearray, corpus: list[tuple[str, bytes]], rng: random.Random) -> None:
    size = len(out)
    if size == 0:
        out += rng.choice(TOKENS)
        return
    at = rng.randrange(size)
    kind = rng.randrange(11)
    if kind == 0:
        out[at] ^= 1 << rng.randrange(8)
    elif kind == 1:
        out[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, 10, 13, 32, 48, 57, 91, 93, 123, 125))
    elif kind == 2:
        out[at:at] = rng.choice(TOKENS)
    elif kind == 3:
        del out[at : at + rng.choice((1, 2, 7, 40, 400))]
    elif kind == 4:
        piece = out[at : at + rng.choice((1, 8, 60, 600))]
        out[at:at] = piece * rng.choice((1, 2, 9))
    elif kind == 5:
        other = corpus[rng.randrange(len(corpus))][1]
        if other:
            begin = rng.randrange(len(other))
            out[at:at] = other[begin : begin + rng.choice((16, 200, 3000))]
    elif kind == 6:
        del out[at:]
    elif kind == 7:
        end = at
        while end < size and 48 <= out[end] <= 57 and end - at < 30:
            end += 1
        out[at:end] = rng.choice((b"0", b"-1", b"99999999999999999999", b"4294967296", b"1e308", b""))
    elif kind == 8:
        out[at : at + 1] = b"\xff" * rng.randrange(1, 11)
    elif kind == 9:
        lines = bytes(out).split(b"\n")
        i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
        lines[i], lines[j] = lines[j], lines[i]
        out[:] = b"\n".join(lines)
    else:
        out[at : at + 8] = rng.randbytes(8)
