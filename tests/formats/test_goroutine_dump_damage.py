"""What logs, containers, terminals and cuts do to a dump costs the damaged records and no others."""

from __future__ import annotations

import json
from itertools import zip_longest
from pathlib import Path

import pytest

from parkwarden.formats.goroutine_dump import read, sniff
from parkwarden.model import Artefact, FormatError, Mark

FOLDER = Path(__file__).parents[1] / "data" / "goroutine_dump"
GOLDENS = [
    FOLDER / "1.21" / "debug2.txt",
    FOLDER / "1.26" / "debug2.txt",
    FOLDER / "1.27" / "debug2.txt",
    FOLDER / "1.27" / "ancestors.txt",
    FOLDER / "1.27" / "elided.txt",
    FOLDER / "1.27" / "sigquit-crash.txt",
]
each_golden = pytest.mark.parametrize("path", GOLDENS, ids=lambda p: f"{p.parent.name}-{p.stem}")


def records(artefact: Artefact) -> dict[int, tuple[object, ...]]:
    """goid -> everything the reader says of it, tables resolved."""
    s = artefact.snapshot
    assert s is not None
    return {
        int(s.goid[i]): (
            s.stacks[s.stack[i]],
            s.states[s.state[i]],
            tuple(sorted(s.labels[s.label[i]].items())),
            int(s.parent[i]),
            int(s.wait_min[i]),
            int(s.arg0[i]),
            int(s.marks[i]),
            s.ancestors.get(int(s.goid[i])),
        )
        for i in range(s.rows)
    }


def lines_of(path: Path) -> list[str]:
    return path.read_text().removesuffix("\n").split("\n")


def prefixed(lines: list[str], prefix: str) -> str:
    """Each line behind a prefix in which `{i}` counts."""
    return "".join(f"{prefix.replace('{i}', f'{i:06}')}{line}\n" for i, line in enumerate(lines))


PREFIXES = [
    "2026-01-01T00:00:00.{i}Z stderr F ",
    "2026-01-01T00:00:00.{i}789Z ",
    "##[error]",
    "2026-11-21T05:23:52.{i}Z ##[error]",
    "svc  | ",
    "api-1  | ",
    "[pod/orders-6d5f7c9b4-x2x9z/orders] ",
    "Nov 21 05:23:52 host-3 orders[{i}]: ",
    "2026/11/21 05:23:52.{i} orders: ",
    "level=error msg=",
    "\t\t",
    "    ",
    "> ",
    "│ ",
]


@each_golden
@pytest.mark.parametrize("prefix", PREFIXES)
def test_prefixes(path: Path, prefix: str) -> None:
    """Any prefix that stands before all lines, numbers and times in it aside, comes off without a trace."""
    whole = read(path.read_bytes())
    text = prefixed(lines_of(path), prefix).encode()
    artefact = read(text)
    assert sniff(text)
    assert records(artefact) == records(whole)
    assert artefact.lost == 0
    assert artefact.snapshot.headers_seen == whole.snapshot.headers_seen
    assert [p.code for p in artefact.problems] == ["cleaned"]


@each_golden
@pytest.mark.parametrize("prefix", ["2026-01-01T00:00:00.{i}Z stderr F ", "svc  | "])
def test_prefixes_whose_trailing_space_was_cut(path: Path, prefix: str) -> None:
    """Editors and log stores cut spaces at line ends: then the prefix of an empty line is a byte shorter."""
    text = "\n".join(line.rstrip(" ") for line in prefixed(lines_of(path), prefix).split("\n"))
    assert records(read(text.encode())) == records(read(path.read_bytes()))


def docker(lines: list[str]) -> bytes:
    entries = (
        {"log": line + "\n", "stream": "stderr", "time": f"2026-01-01T00:00:00.{i:09}Z"} for i, line in enumerate(lines)
    )
    return "".join(json.dumps(e, separators=(",", ":")) + "\n" for e in entries).encode()


def colours(text: str) -> str:
    out = []
    for line in text.split("\n"):
        if line.startswith("goroutine "):
            line = f"\x1b[1;31m{line}\x1b[0m"
        elif line.startswith("\t"):
            line = f"\t\x1b[2m{line[1:]}\x1b[22m"
        elif "(" in line:
            line = line.replace("(", "\x1b[33m(\x1b[39m", 1)
        out.append(line + "\x1b[K")
    return "\n".join(out)


@each_golden
@pytest.mark.parametrize(
    "spoil",
    [
        lambda p: p.read_bytes().replace(b"\n", b"\r\n"),
        lambda p: colours(p.read_text()).encode(),
        lambda p: docker(lines_of(p)),
        lambda p: docker(lines_of(p)).replace(b"\n", b"\r\n"),
        lambda p: docker([line + "\r" for line in lines_of(p)]),
        lambda p: p.read_bytes().replace(b"\t", b"        "),
        lambda p: p.read_bytes().replace(b"\t", b"    "),
        lambda p: ("\ufeff" + p.read_text().replace("\n", "\r\n")).encode("utf-16-le"),
        lambda p: b"\xef\xbb\xbf" + p.read_bytes(),
        lambda p: (
            prefixed([line.replace("\t", "    ") for line in lines_of(p)], "svc  | ").replace("\n", "\r\n").encode()
        ),
        lambda p: colours(prefixed(lines_of(p), "svc  | ")).encode(),
    ],
    ids=[
        "crlf",
        "ansi",
        "docker",
        "docker-crlf",
        "crlf-docker",
        "8-spaces",
        "4-spaces",
        "utf-16",
        "bom",
        "all",
        "ansi-prefix",
    ],
)
def test_wrappings(path: Path, spoil: object) -> None:
    """CRLF, colours, docker JSON, spaces for tabs, UTF-16, and some of them together, come off without a trace."""
    whole = read(path.read_bytes())
    text = spoil(path)
    artefact = read(text)
    assert sniff(text) or text[:1] == b"\xef"
    assert records(artefact) == records(whole)
    assert artefact.lost == 0
    assert artefact.snapshot.headers_seen == whole.snapshot.headers_seen


def test_cri_parts_are_joined() -> None:
    """Kubernetes' runtimes split long lines into parts marked P, the last one F."""
    lines = lines_of(GOLDENS[0])
    text = prefixed(lines, "2026-01-01T00:00:00.{i}Z stderr F ").split("\n")
    at = next(i for i, line in enumerate(text) if "created by" in line)
    stamp, rest = text[at][: text[at].index(" F ")], text[at][text[at].index(" F ") + 3 :]
    text[at : at + 1] = [f"{stamp} P {rest[:9]}", f"{stamp} P {rest[9:12]}", f"{stamp} F {rest[12:]}"]
    assert records(read("\n".join(text).encode())) == records(read(GOLDENS[0].read_bytes()))


def test_sources_told_by_their_prefix_come_apart() -> None:
    """Two services' dumps woven by docker compose: each is read whole, and that there were two is said."""
    one, two = read(GOLDENS[0].read_bytes()), read(renumbered(GOLDENS[2]))
    left = prefixed(lines_of(GOLDENS[0]), "api-1  | ").split("\n")
    right = prefixed(renumbered(GOLDENS[2]).decode().split("\n"), "api-2  | ").split("\n")
    woven = [line for pair in zip_longest(left, right) for line in pair if line is not None]
    artefact = read("\n".join(woven).encode())
    assert records(artefact) == records(one) | records(two)
    assert [p.code for p in artefact.problems] == ["several-sources", "cleaned"]


def renumbered(path: Path) -> bytes:
    """The same dump with other goroutine ids, as of another process."""
    import re

    return re.sub(rb"(?m)^goroutine (\d+)|(?<=in goroutine )(\d+)$", shift, path.read_bytes())


def shift(found: object) -> bytes:
    header, parent = found.groups()
    return b"goroutine %d" % (int(header) + 1000) if header else b"%d" % (int(parent) + 1000)


def test_two_dumps_woven_line_by_line() -> None:
    """Without any prefix, lines in turns can be told apart by the grammar: nothing is lost."""
    one, two = GOLDENS[0].read_bytes(), renumbered(GOLDENS[2])
    left, right = one.decode().split("\n"), two.decode().split("\n")
    woven = [line for pair in zip_longest(left, right) for line in pair if line is not None]
    artefact = read("\n".join(woven).encode())
    assert records(artefact) == records(read(one)) | records(read(two))
    assert artefact.lost == 0


def test_weaving_without_turns_costs_only_those_records() -> None:
    """Where two records' lines cannot be told apart, both are damaged and said to be; all others are as they were."""
    whole = records(read(GOLDENS[2].read_bytes()))
    blocks = GOLDENS[2].read_text().split("\n\n")
    a, b = blocks[2].split("\n"), blocks[3].split("\n")
    blocks[2:4] = ["\n".join([a[0], *b[:3], *a[1:4], *b[3:5], *a[4:], *b[5:]])]
    artefact = read("\n\n".join(blocks).encode())
    torn = {int(a[0].split()[1]), int(b[0].split()[1])}
    assert artefact.snapshot.headers_seen == len(whole)
    for goid, record in records(artefact).items():
        assert record == whole[goid] or (goid in torn and record[6] & Mark.DAMAGED)
    assert artefact.lost >= 1


def test_log_lines_within_records_cost_nothing() -> None:
    """Another writer's whole lines between a dump's lines are passed over."""
    lines = lines_of(GOLDENS[2])
    noisy = [
        x
        for i, line in enumerate(lines)
        for x in ([f"2026/11/21 request {i} took 3 ms", line] if line.strip("\t") == line and line else [line])
    ]
    assert records(read(("\n".join(noisy) + "\n").encode())) == records(read(GOLDENS[2].read_bytes()))


@pytest.mark.parametrize(
    "path", [GOLDENS[1], GOLDENS[2], GOLDENS[3], FOLDER / "1.27" / "nil-ancestors.txt"], ids=lambda p: p.stem
)
def test_truncated_at_every_byte(path: Path) -> None:
    """A cut at any byte costs the record it falls into, which is marked or counted; all before it are as they were."""
    data = path.read_bytes()
    whole = records(read(data))
    order = list(whole)
    for size in range(len(data)):
        try:
            artefact = read(data[:size])
        except FormatError:
            assert size < data.index(b"goroutine ") + len(b"goroutine 1")
            continue
        seen = records(artefact)
        last = order[len(seen) - 1] if seen else None
        assert list(seen) == order[: len(seen)]
        for goid, record in seen.items():
            if goid != last:
                assert record == whole[goid]
        assert 0 <= artefact.snapshot.headers_seen - artefact.snapshot.rows <= 1
        if last is None or seen[last] == whole[last]:
            continue
        got, all_of_it = seen[last], whole[last]
        assert got[0].frames == all_of_it[0].frames[: len(got[0].frames)]
        if not got[6] & Mark.DAMAGED:
            # an ancestor more or less cannot be seen where the cut falls between whole lines; all else is there
            assert all_of_it[7], data[:size][-60:]
            assert got[:7] == all_of_it[:7]
        else:
            assert artefact.lost == 1
