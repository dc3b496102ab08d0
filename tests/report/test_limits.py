"""The tuner's answer: the documented schema, sentences, snippets, narrow terminals, hostile names."""

from __future__ import annotations

import io
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from rich.console import Console

from parkwarden.judge.limits import GATEWAY, STREAMING, Examined, Facts, Look, Profile, tune
from parkwarden.model import Problem
from parkwarden.report.limit_snippets import Snippet, snippets
from parkwarden.report.limits import limits_to_json, print_limits, sentences
from tests.judge.limits.told import GIB, NOW, facts

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "schema" / "limits-1.json").read_text())


def examined(told: Facts, profile: Profile = GATEWAY, **other: Any) -> Examined:
    return Examined(
        target=other.pop("target", "http://localhost:6060"),
        pid=other.pop("pid", 4242),
        command=other.pop("command", "transcoder"),
        checked_at="2026-11-21T18:00:00Z",
        watched_s=10.0,
        kinds={"socket": 101, "pipe": 99, "eventpoll": 1},
        source_calls=("SetMaxThreads(1536) at main.go:12",),
        problems=other.pop("problems", ()),
        tuning=tune(told, profile),
    )


def text(one: Examined, width: int = 120, which: Snippet | None = None) -> str:
    buffer = io.StringIO()
    print_limits(one, Console(file=buffer, width=width, highlight=False, markup=False), which)
    return buffer.getvalue()


def trend(limit: int = 1024) -> Facts:
    looks = tuple(replace(NOW, at=100.0 + i, descriptors=400 + 10 * i) for i in range(11))
    return facts({"fd-limit": limit}, looks=looks, load=1000)


NOTHING = Facts(settings={}, looks=(Look(at=0.0),))
EVERYTHING = facts(
    {"gogc": math.inf, "gomaxprocs": 64, "cpus": math.inf},
    go=(1, 24),
    root=True,
    stalled=3,
    load=100_000,
    peer_keepalive_s=60.0,
)


@pytest.mark.parametrize(
    "told", [trend(), NOTHING, EVERYTHING, facts(servers=())], ids=["trend", "nothing", "everything", "no server"]
)
@pytest.mark.parametrize("profile", [GATEWAY, STREAMING])
def test_json_follows_its_schema(told: Facts, profile: Profile) -> None:
    """Whatever is known: one document of docs/schema/limits-1.json, without NaN or infinity, in a fixed order."""
    document = limits_to_json(examined(told, profile, problems=(Problem("denied", "fd", "no"),)), Snippet.ALL)
    read = json.loads(document)
    jsonschema.Draft202012Validator(SCHEMA).validate(read)
    assert list(read) == SCHEMA["required"]
    assert "Infinity" not in document


def test_the_sentences_name_the_first_with_its_numbers() -> None:
    """By the trend with time left and interval, under load with the requests it holds, and what happens then."""
    by_trend, by_load = sentences(tune(trend(), GATEWAY))
    assert re.search(
        r"the fd-limit breaks first, in 52 s \(5\d-5\d\): 500 of 1,024 now, 10\.0/s more\. Then accept", by_trend
    )
    assert by_load.startswith("1,000 concurrent requests do not fit: the fd-limit of 1,024 is the first")
    assert "EMFILE" in by_load


def test_who_holds_it_is_the_next_step() -> None:
    """Where something runs out the command that names the holders is given; where nothing does, none."""
    assert "-> who holds the descriptors: parkwarden fds http://localhost:6060" in text(examined(trend()))
    assert "->" not in text(examined(facts(load=10))).partition("What breaks first")[0]
    memory = text(examined(facts(now={"memory": 3 * GIB})))
    assert "-> who holds the rest: parkwarden diagnose http://localhost:6060" in memory


def test_the_sentences_say_what_is_not_known() -> None:
    """One look shows no trend; standing still approaches nothing; without requests nothing is said of load."""
    assert sentences(tune(NOTHING, GATEWAY)) == [
        "One look shows no trend: look longer (--for 10s).",
        "What a request takes is not known from here, so neither is how many fit.",
    ]
    still = tuple(replace(NOW, at=float(i)) for i in range(11))
    calm, fits = sentences(tune(facts(looks=still, load=200), GATEWAY))
    assert calm == "Nothing approaches a limit at the present trend (10 s looked at)."
    assert fits.startswith("200 concurrent requests fit")


@pytest.mark.parametrize("width", [40, 60, 80, 99, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """Tables fold in narrow terminals, and every section is there."""
    told = text(examined(EVERYTHING), width)
    assert max(map(len, told.splitlines())) <= width
    for section in ("What breaks first", "In force", "What does not fit together", "Proposed together"):
        assert section in told


def test_what_is_hidden_is_said() -> None:
    """Nothing is left out silently: each setting has its row, timeouts the way to them."""
    told = text(examined(replace(NOTHING, servers=()), pid=None, command=""))
    assert told.count("not visible from here") == 14
    assert "--source DIR" in told
    assert "no limit is visible from here" in told
    assert "remote" in told


def test_names_of_the_target_are_inert() -> None:
    """Control characters of a process's name, of source paths and of problems reach no terminal."""
    evil = "\x1b[31mx\x07\n"
    server = replace(facts().servers[0], where=evil, write_s=0.0)
    told = text(
        examined(facts(servers=(server,)), command=evil, target=f"http://{evil}", problems=(Problem("x", evil, evil),))
    )
    assert "\x1b" not in told
    assert "\x07" not in told
    assert "\\u001b" in limits_to_json(examined(facts(servers=(server,)), command=evil))


def test_systemd_wants_its_own_units() -> None:
    """LimitNOFILE, LimitNPROC, TasksMax, MemoryMax in systemd's binary M, GOMEMLIMIT in Go's MiB."""
    told = snippets(tune(facts({"memory-limit": GIB, "fd-limit": 1024}, load=200), GATEWAY), Snippet.SYSTEMD)
    lines = told["systemd"].splitlines()
    assert lines[:4] == ["[Service]", "LimitNOFILE=1024", "LimitNPROC=2048", "TasksMax=2048"]
    assert lines[4] == "MemoryMax=1024M"
    assert lines[5] == "Environment=GOMEMLIMIT=921MiB"
    assert set(told) == {"systemd"}
    assert "LimitAS" not in told["systemd"]
    assert "LimitAS=infinity\n" in snippets(tune(facts({"address-space": GIB}), GATEWAY), Snippet.SYSTEMD)["systemd"]


def test_kubernetes_is_yaml_that_fits() -> None:
    """Limits and requests alike, GOMEMLIMIT below the limit, all values of the environment strings."""
    import yaml

    body = snippets(tune(facts({"gogc": 50}, load=500), GATEWAY), Snippet.KUBERNETES)["kubernetes"]
    read = yaml.safe_load(body)
    assert read["resources"]["limits"] == read["resources"]["requests"] == {"memory": "2048Mi"}
    assert read["env"] == [{"name": "GOMEMLIMIT", "value": "1843MiB"}, {"name": "GOGC", "value": "50"}]


def test_go_is_what_the_proposals_say() -> None:
    """A gateway's four timeouts; a stream has no WriteTimeout but a deadline for each write; memory only where it is told."""
    gateway = snippets(tune(facts(load=500), GATEWAY), Snippet.GO)["go"]
    assert "WriteTimeout:      30 * time.Second," in gateway
    assert "debug.SetMaxThreads(1536)" in gateway
    assert "debug.SetMemoryLimit(1843 << 20)" in gateway
    streaming = snippets(tune(facts(), STREAMING), Snippet.GO)["go"]
    assert "WriteTimeout:      0, //" in streaming
    assert "rc.SetWriteDeadline(time.Now().Add(15 * time.Second))" in streaming
    assert "SetMemoryLimit" not in snippets(tune(NOTHING, GATEWAY), Snippet.GO)["go"]
    assert list(snippets(tune(NOTHING, GATEWAY), Snippet.ALL)) == ["systemd", "kubernetes", "go"]


def test_the_text_ends_with_the_snippets_asked_for() -> None:
    """--snippet all prints all three, none is printed unasked."""
    assert "LimitNOFILE=" in text(examined(facts()), which=Snippet.ALL)
    assert "LimitNOFILE=" not in text(examined(facts()))
