"""Headlines: each thing once, trouble when it begins and when it ends."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from parkwarden.collect.fleet.status import TargetState, TargetStatus
from parkwarden.model import (
    Capture,
    Finding,
    Incident,
    IncidentState,
    Instance,
    Priority,
    Signal,
    Site,
    Verdict,
)
from parkwarden.run.headlines import (
    QUIET_S,
    TARGET_QUIET_S,
    Headline,
    Headlines,
    account,
    now_words,
)
from parkwarden.run.status import WatchStatus


def signal(verdict: Verdict = Verdict.SUSPECT) -> Signal:
    return Signal(
        detector="goroutine-trend",
        code="PW501",
        at=0.0,
        instance="i",
        site=None,
        verdict=verdict,
        confidence=0.5,
        text="rises",
    )


def finding(verdict: Verdict = Verdict.LEAK, site: Site | None = None, **fields: Any) -> Finding:
    return Finding(
        code="PW104", verdict=verdict, confidence=0.9, title="t", service="shop", site=site, instances=("i",), **fields
    )


def target(state: TargetState, name: str = "10.0.0.1:6060", **fields: Any) -> TargetStatus:
    return TargetStatus(
        id=name,
        service="shop",
        env="",
        url=f"http://{name}",
        state=state,
        since=0.0,
        took_s=0.0,
        **fields,
    )


def test_a_suspicion_is_told_once_and_again_after_a_while() -> None:
    """The same statement at every beat is one headline; after QUIET_S without it, it is news again."""
    told: list[Headline] = []
    headlines = Headlines(told.append)
    for at in (0.0, 5.0, 10.0):
        headlines.judged(at, [], [signal()])
    assert [h.text for h in told] == ["i: rises (goroutine-trend)"]
    headlines.judged(10.0 + QUIET_S + 1, [], [signal()])
    assert len(told) == 2


def test_a_worse_verdict_is_news_and_only_a_leak_is_a_finding() -> None:
    """Suspect, then leak: a suspicion and a finding; unknown is none."""
    told: list[Headline] = []
    headlines = Headlines(told.append)
    for verdict in (Verdict.UNKNOWN, Verdict.SUSPECT, Verdict.LEAK, Verdict.LEAK):
        headlines.judged(0.0, [finding(verdict)], [])
    assert [(h.kind, h.text) for h in told] == [
        ("suspicion", "i: t | suspect, 90% sure"),
        ("finding", "i: t | leak, 90% sure"),
    ]


def test_witnesses_of_what_is_accused_are_no_news() -> None:
    """A detector that says of an accused site or process what its finding says already is not told; one about another site is."""
    told: list[Headline] = []
    headlines = Headlines(told.append)
    accused = Site("s1", "chan send", "main.f", "f.go", 1, (), None)
    witnesses = [signal(), replace(signal(), site="s1"), replace(signal(), site="s2")]
    headlines.judged(0.0, [finding(site=accused)], witnesses)
    assert [(h.kind, h.data.get("site")) for h in told] == [("finding", None), ("suspicion", "s2")]


def test_who_and_how_it_went_are_seen_at_a_glance() -> None:
    """The service comes before the replica's address; the goroutines of the last minutes are a picture."""
    told: list[Headline] = []
    shop = Instance(id="10.0.0.1:6060", labels={"service": "shop"})
    headlines = Headlines(told.append, instance=lambda _: shop, counts=lambda *_: [4, 4, 40, 80])
    headlines.judged(0.0, [], [signal()])
    assert told[0].text == "shop (i): rises (goroutine-trend) | ▁▁▅█"


def test_what_becomes_sure_enough_to_be_told_is_news() -> None:
    """The probe's WARN, its CRITICAL and its STUCK have one verdict: the step that somebody is told of is a headline, small ones are none."""
    told: list[Headline] = []
    headlines = Headlines(told.append)
    loop = replace(finding(verdict=Verdict.TIGHT), code="PW524", pattern="event-loop-health")
    for at, confidence in enumerate((0.5, 0.5, 0.6, 0.85, 0.85, 0.9, 0.5)):
        headlines.judged(float(at), [replace(loop, confidence=confidence)], [])
    assert [h.text for h in told] == ["i: t | tight, 50% sure", "i: t | tight, 85% sure"]


def test_the_picture_beside_a_limit_is_of_what_runs_out() -> None:
    """Descriptors may end while the goroutines stand still: a flat line beside 120 a minute would belie it."""
    told: list[Headline] = []
    asked: list[Sequence[str]] = []

    def counts(_: str, fields: Sequence[str]) -> list[float]:
        asked.append(fields)
        return [1.0, 2.0]

    headlines = Headlines(told.append, counts=counts)
    headlines.judged(0.0, [replace(finding(), code=code) for code in ("PW520", "PW521", "PW522", "PW101")], [])
    assert asked == [("open_fds",), ("threads",), ("mem_used", "rss"), ("goroutines",)][: len(asked)]
    assert asked


def test_a_target_says_at_the_start_what_it_offers_and_lacks() -> None:
    """One line per target: state, version, pages, looks that are impossible and why, numbers that are missing."""
    told: list[Headline] = []
    headlines = Headlines(told.append)
    offers = target(
        TargetState.UP,
        go_version="go1.22.1",
        goroutines=12,
        sources=("metrics",),
        missing=("max_fds",),
        impossible=(("census", "old-go"), ("trace", "old-go"), ("goroutineleak", "not-there")),
    )
    headlines.targets(0.0, [target(TargetState.STARTING)])
    headlines.targets(5.0, [offers])
    headlines.targets(10.0, [offers])
    assert [h.text for h in told] == [
        "shop (10.0.0.1:6060): up, 12 goroutines, go1.22.1 | counts from metrics | no census: Go is older than 1.23 | "
        "no leak profile: its pprof has none | not told: max_fds"
    ]


def test_a_target_without_pprof_says_what_that_costs() -> None:
    """No look is possible then: one sentence, not four."""
    told: list[Headline] = []
    bare = target(
        TargetState.UP, sources=("metrics",), impossible=(("goroutine", "not-there"), ("census", "not-there"))
    )
    Headlines(told.append).targets(0.0, [bare])
    assert told[0].text.endswith("| no looks: there is no net/http/pprof, so no line can be named")


def test_a_target_that_goes_and_comes_back_is_told_but_does_not_chatter() -> None:
    """Unreachable with its error and the next step, up again, a restart; not more often than TARGET_QUIET_S."""
    told: list[Headline] = []
    headlines = Headlines(told.append)
    up = target(TargetState.UP, goroutines=3)
    down = target(TargetState.UNREACHABLE, error="connection-failed: Connection refused")
    for at, now in ((0.0, up), (100.0, down), (105.0, up), (110.0, down), (100.0 + TARGET_QUIET_S, up)):
        headlines.targets(at, [now])
    headlines.targets(500.0, [replace(up, restarts=1)])
    assert [h.text.removeprefix("shop (10.0.0.1:6060): ") for h in told] == [
        "up, 3 goroutines, Go version not told",
        "unreachable: connection-failed: Connection refused | parkwarden doctor http://10.0.0.1:6060 says more",
        "up, 3 goroutines",
        "restarted, 3 goroutines",
    ]


def test_only_targets_with_news_are_asked_for_all_they_know() -> None:
    """A thousand targets at every beat: state and restarts tell whether there is anything to say; who is gone is forgotten."""
    headlines = Headlines(lambda headline: None)
    up = target(TargetState.UP)
    assert headlines.news_of(0.0, {up.id: (TargetState.STARTING, 0)}) == []
    assert headlines.news_of(5.0, {up.id: (TargetState.UP, 0)}) == [up.id]
    headlines.targets(5.0, [up])
    assert headlines.news_of(500.0, {up.id: (TargetState.UP, 0)}) == []
    assert headlines.news_of(500.0, {up.id: (TargetState.UP, 1)}) == [up.id]
    assert headlines.news_of(505.0, {}) == []
    assert headlines.news_of(510.0, {up.id: (TargetState.UP, 0)}) == [up.id]


def test_many_targets_at_once_are_one_line_per_state() -> None:
    """A zone that goes down, or a fleet that starts, does not fill the screen."""
    told: list[Headline] = []
    states = [TargetState.UP] * 900 + [TargetState.UNREACHABLE] * 2
    Headlines(told.append).targets(0.0, [target(state, f"h{n}:1") for n, state in enumerate(states)])
    assert [h.text for h in told] == ["900 targets up: h0:1, h1:1, h2:1, ...", "2 targets unreachable: h900:1, h901:1"]


def test_an_incident_names_the_next_step_and_its_end() -> None:
    """Its id as `parkwarden incidents` takes it; how long it lasted instead of what is no longer so."""
    told: list[Headline] = []
    headlines = Headlines(told.append)
    row = Incident(
        id="3fa92c1b04d7e655",
        key="k",
        state=IncidentState.FIRING,
        service="shop",
        title="stuck at main.f (f.go:1)",
        code="PW104",
        detector="send-without-receiver",
        verdict=Verdict.LEAK,
        confidence=0.9,
        priority=Priority.P0,
        line="main.f example.com/f.go:1",
        rate_per_min=600.0,
        limit="memory-limit",
        time_left_s=720.0,
        firing_since=100.0,
    )
    headlines.incidents(0.0, [row.changed(time_left_s=None)])
    headlines.incidents(0.0, [row])
    headlines.incidents(5.0, [row.changed(time_left_s=None)])
    headlines.incidents(0.0, [row.changed(acknowledged_at=200.0, acknowledged_by="eva")])
    headlines.incidents(0.0, [row.changed(clear_since=100.0)])
    headlines.incidents(0.0, [row.changed(state=IncidentState.RESOLVED, resolved_at=400.0)])
    assert [h.text for h in told] == [
        "firing P0 shop: stuck at main.f (f.go:1) | 10/s | incidents show 3fa92c1b",
        "firing P0 shop: stuck at main.f (f.go:1) | 10/s | 12 min until memory limit | incidents show 3fa92c1b",
        "firing (acknowledged by eva) P0 shop: stuck at main.f (f.go:1) | 10/s | 12 min until memory limit | "
        "incidents show 3fa92c1b",
        "firing P0 shop: stuck at main.f (f.go:1) | no longer found: resolved if it stays so | incidents show 3fa92c1b",
        "resolved P0 shop: stuck at main.f (f.go:1) | lasted 5 min | incidents show 3fa92c1b",
    ]


def test_the_last_line_sums_up_what_was_seen_and_what_it_cost() -> None:
    """Targets, readings, looks and their price, what was found, who was told, what is kept."""
    status = WatchStatus(
        started_at=0.0,
        targets=Counter(up=1, unreachable=1),
        looks=Counter({("census", "ok"): 2, ("census", "timeout"): 1}),
        stall_seconds={"census": 0.002},
        scrapes=Counter({"ok": 9, "connection-failed": 1}),
        findings=Counter(leak=1),
        notifications=Counter({("oncall", "delivered"): 3, ("oncall", "retried"): 1}),
        evidence_kept=4,
    )
    assert account(status, 300.0) == (
        "after 5 min: 2 targets (1 up, 1 unreachable) | 10 readings (1 failed) | "
        "2 looks that cost the watched some 2 ms of standing still | 1 leak and 0 suspicions at the end | "
        "0 incidents open | 3 notifications delivered | 4 pieces of evidence kept"
    )
    assert now_words(status, 42, "▁█") == (
        "2 targets (1 up, 1 unreachable) · 42 goroutines ▁█ · 1 found leaking · 0 incidents open"
    )


@pytest.mark.parametrize(
    ("targets", "streams", "said"),
    [
        ({}, {}, "0 targets"),
        ({"up": 2}, {"otlp": 0}, "2 targets up"),
        ({"up": 1}, {"otlp": 3, "skywalking": 1}, "1 target up + 4 instances from 2 streams"),
        ({}, {"remote-write": 1}, "1 instance from 1 stream"),
    ],
)
def test_who_is_watched_is_said_with_who_reads_them(
    targets: dict[str, int], streams: dict[str, int], said: str
) -> None:
    """Targets are read by us, instances of streams by others; a watch of streams alone does not speak of no targets."""
    status = WatchStatus(started_at=0.0, targets=Counter(targets), stream_instances=Counter(streams))
    assert now_words(status, 42, "") == f"{said} · 42 goroutines · 0 incidents open"


def test_json_lines_are_of_their_schema() -> None:
    """Every kind of headline is what docs/schema/headline-1.json promises to machines."""
    told: list[Headline] = []
    headlines = Headlines(told.append)
    headlines.info(0.0, "our own pages", port=1)
    headlines.targets(0.0, [target(TargetState.UP)])
    headlines.targets(99.0, [target(TargetState.UP, f"h{n}:1") for n in range(99)])
    headlines.judged(0.0, [finding()], [replace(signal(), site="s2", numbers={"slope_per_s": 2.0})])
    headlines.captured(0.0, Capture(instance="i", service="s", kind="trace", at=0.0, body=b"x", why="y"))
    headlines.troubles(0.0, {"state": "full"})
    headlines.troubles(0.0, {})
    schema = json.loads((Path(__file__).parents[2] / "docs" / "schema" / "headline-1.json").read_text())
    for headline in told:
        jsonschema.validate(json.loads(json.dumps(headline.record())), schema)
    assert {h.kind for h in told} | {"incident", "delivery"} == set(schema["properties"]["kind"]["enum"])


def test_trouble_is_told_when_it_begins_changes_and_ends() -> None:
    """A full disk is one headline, not one per beat, and its end is one."""
    told: list[Headline] = []
    headlines = Headlines(told.append)
    for troubles in ({}, {"state": "full"}, {"state": "full"}, {"state": "read-only"}, {}, {}):
        headlines.troubles(1.0, troubles)
    assert [(h.kind, h.text) for h in told] == [
        ("trouble", "state: full"),
        ("trouble", "state: read-only"),
        ("recovered", "state: well again"),
    ]


def test_captures_of_a_kind_are_told_once_while_the_suspicion_lasts() -> None:
    """A profile every five seconds for a minute is one headline."""
    told: list[Headline] = []
    headlines = Headlines(told.append)
    for at in (0.0, 5.0, 10.0):
        look = Capture(
            instance="i", service="s", kind="trace", at=at, body=b"x" * 2048, why="goroutine-trend", took_s=0.05
        )
        headlines.captured(at, look)
    headlines.captured(10.0, replace(look, kind="heap", why="before heap-jump", took_s=0.0))
    assert [h.text for h in told] == [
        "i: trace, 2.0 KiB in 50 ms, because of goroutine-trend",
        "i: heap, 2.0 KiB, from before heap-jump",
    ]
