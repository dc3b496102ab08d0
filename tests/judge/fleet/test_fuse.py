"""Fusing: witnesses of different kinds bear each other out, those of one kind do not; one finding per site and service."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from parkwarden.judge.fleet.fuse import Scene, fuse
from parkwarden.judge.fleet.rules import Rules
from parkwarden.model import Frame, Grade, Instance, Signal, Site, Verdict

NOW = 1000.0
FRAMES = (Frame("runtime.chansend1", "chan.go", 1), Frame("main.quote", "/src/shop/price.go", 42))
SITE = Site(
    "s1", "chan send", "main.quote", "/src/shop/price.go", 42, FRAMES[1:], Frame("main.buy", "/src/shop/buy.go", 7)
)


@dataclass
class NoReadings:
    goroutines: float = float("nan")

    def last(self, _instance: str, field: str) -> float:
        return self.goroutines if field == "goroutines" else float("nan")

    def block(self, _instance: str, fields: list[str], *_: object):
        import numpy as np

        return np.empty(0), np.empty((len(fields), 0))


def scene(goroutines: float = 1000.0) -> Scene:
    return Scene(
        windows=NoReadings(goroutines),  # type: ignore[arg-type]
        site=lambda _id: SITE,
        instance=lambda name: Instance(id=name, labels={"service": name.split("-")[0], "env": "prod", "pod": name}),
        modules=lambda _key: ("main",),
        version_at=lambda _key, at: "v2" if at >= 500 else "v1",
    )


def signal(detector: str, *, instance: str = "shop-1", site: str | None = "s1", confidence: float = 0.7,
           verdict: Verdict = Verdict.SUSPECT, rate: float | None = 60.0, count: int | None = 500, since: float | None = 400.0) -> Signal:  # fmt: skip
    return Signal(
        detector=detector, code="PW500", at=NOW, instance=instance, site=site, verdict=verdict, confidence=confidence,
        text=f"{detector} says so", rate_per_min=rate, count=count, since=since,
    )  # fmt: skip


def only(*signals: Signal):
    found = fuse(signals, scene(), NOW, Rules())
    assert len(found) == 1
    return found[0]


def test_a_site_becomes_a_finding_a_person_can_act_on() -> None:
    """Pattern, culprit line, count, share, rate, grade, since with the version then, and the witness's words."""
    finding = only(signal("site-floor-growth"))
    assert finding.pattern == "send-without-receiver"
    assert finding.culprit is not None
    assert (finding.culprit.function, finding.culprit.line) == ("main.quote", 42)
    assert (finding.count, finding.share, finding.rate_per_min, finding.grade) == (500, 0.5, 60.0, Grade.RED)
    assert (finding.since, finding.since_version) == ("1970-01-01T00:06:40Z", "v1")
    assert finding.instance == "shop-1"
    assert [e.value for e in finding.evidence] == ["site-floor-growth says so"]


def test_witnesses_of_different_kinds_raise_the_confidence() -> None:
    """Two independent witnesses of 0.7 leave 0.09 doubt; two of one kind leave 0.3."""
    assert only(signal("site-floor-growth"), signal("new-since-deploy")).confidence == pytest.approx(0.91)
    count = [signal(d, site=None) for d in ("goroutine-trend", "goroutine-excess")]
    assert only(*count).confidence == pytest.approx(0.7)


def test_suspicions_never_add_up_to_a_leak() -> None:
    """Growth, load and survivors all suspect: surer, but a suspicion; one witness who says leak by its own stated rate makes it one."""
    said = [signal(d, confidence=0.9) for d in ("site-floor-growth", "load-growth", "survivors")]
    assert only(*said).verdict is Verdict.SUSPECT
    assert only(*said[:2], signal("survivors", verdict=Verdict.LEAK)).verdict is Verdict.LEAK


def test_replicas_are_one_finding_worst_first() -> None:
    """Two replicas of a service at one site: one finding, no single instance, labels they agree on."""
    finding = only(
        signal("site-floor-growth", instance="shop-1"),
        signal("proven-leak", instance="shop-2", verdict=Verdict.LEAK, confidence=1.0),
    )
    assert finding.instances == ("shop-2", "shop-1")
    assert finding.instance is None
    assert (finding.verdict, finding.labels) == (Verdict.LEAK, {"service": "shop", "env": "prod"})


def test_other_services_are_other_findings() -> None:
    """The same library's line in two services is two teams' business."""
    found = fuse(
        [signal("survivors", instance="shop-1"), signal("survivors", instance="cart-1")], scene(), NOW, Rules()
    )
    assert {f.service for f in found} == {"shop", "cart"}


def test_a_process_explained_by_its_sites_has_no_finding_of_its_own() -> None:
    """Half of the growth accounted for explains it; a little less does not."""
    trend = signal("goroutine-trend", site=None, rate=120.0)
    finding = only(signal("site-floor-growth", rate=60.0), trend)
    assert finding.site is SITE
    assert "goroutine-trend says so" in [e.value for e in finding.evidence]
    found = fuse([signal("site-floor-growth", rate=59.0), trend], scene(), NOW, Rules())
    assert {f.pattern for f in found if f.site is None} == {"goroutine-trend"}


def test_gc_pressure_is_a_co_signal_beside_growth_and_a_finding_alone() -> None:
    """Beside a trend it raises the trend's confidence; alone it stands for itself."""
    pressure = signal("gc-pressure", site=None, rate=None, confidence=0.5)
    trend = signal("goroutine-trend", site=None)
    assert only(trend, pressure).confidence == pytest.approx(0.85)
    assert only(pressure).pattern == "gc-pressure"


def test_only_proof_is_certain() -> None:
    """However many witnesses: inference stays below certainty, the runtime's own proof does not."""
    many = [signal(d, confidence=0.99) for d in ("site-floor-growth", "survivors", "load-growth", "replica-age")]
    assert only(*many).confidence == 0.99
    assert only(signal("proven-leak", verdict=Verdict.LEAK, confidence=1.0)).confidence == 1.0


def test_nothing_said_is_nothing_found() -> None:
    """No signals, no findings."""
    assert fuse([], scene(), NOW, Rules()) == []


def test_numbers_are_pythons_own() -> None:
    """Detectors count in NumPy; what is stored and sent must not be."""
    import numpy as np

    said = signal("site-floor-growth", rate=np.float64(60.0), count=np.int64(500), since=np.float64(400.0))  # type: ignore[arg-type]
    finding = only(said)
    assert {type(finding.rate_per_min), type(finding.confidence)} == {float}
    assert type(finding.count) is int


def test_a_process_that_grows_makes_its_site_surer() -> None:
    """A standing crowd (0.3) at the line that holds most of a process whose total rises (0.53) is a fast suspect, not a weak one."""
    crowd = signal("stack-persistence", confidence=0.3, rate=None, count=900)
    finding = only(crowd, signal("goroutine-trend", site=None, confidence=0.53, rate=3000.0))
    assert finding.site is SITE
    assert (finding.rate_per_min, finding.grade) == (3000.0, Grade.RED)
    assert finding.confidence == pytest.approx(0.671)


def test_a_leaks_time_left_is_the_limits_own() -> None:
    """Where a limit's detector foretells an end, the leak's finding tells that one, the first of several; what only stands near a limit foretells none."""

    def limit(detector: str, left_s: float | None) -> Signal:
        said = {"value": 60.0, "limit": 100.0, "share": 0.6, "rate_per_s": 1.0}
        ends = {} if left_s is None else {"left_s": left_s, "left_low_s": left_s / 2, "left_high_s": left_s * 2}
        return Signal(
            detector=detector, code={"fd-exhaustion": "PW520", "memory-exhaustion": "PW522"}[detector], at=NOW, instance="shop-1",
            site=None, verdict=Verdict.EXHAUSTING, confidence=0.9, text=detector, numbers=said | ends,
        )  # fmt: skip

    leak = signal("survivors", verdict=Verdict.LEAK)
    found = fuse([leak, limit("fd-exhaustion", 600.0), limit("memory-exhaustion", 300.0)], scene(), NOW, Rules())
    of_leak = next(f for f in found if f.site is not None)
    assert of_leak.time_left is not None
    assert (of_leak.time_left.limit, of_leak.time_left.low_s, of_leak.time_left.high_s) == (
        "memory-limit",
        150.0,
        600.0,
    )
    assert {f.code for f in found} >= {"PW520", "PW522"}, "limits keep findings of their own"
    found = fuse([leak, limit("fd-exhaustion", None)], scene(), NOW, Rules())
    assert next(f for f in found if f.site is not None).time_left is None
