"""A drill's parts without a service: what arrived, what harm is, what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from parkwarden.model import UsageError
from parkwarden.model.drill import Drill, Growing, Harm, Phase, Told, Trial
from parkwarden.run import _desk_build, drill
from parkwarden.run._drill_desks import DESKS
from parkwarden.run._drill_tally import LOGS, SEGMENTS, SPANS, Tally
from parkwarden.run._drill_verdict import judge
from parkwarden.run.backends import Fault
from parkwarden.run.drill import SERVICES, DrillOptions, OwnService, backend_unreachable

WELL = Phase(
    name="before",
    seconds=10,
    requests=2000,
    errors=0,
    p50_ms=1,
    p99_ms=5,
    max_ms=9,
    late_ms=1,
    cpu_cores=0.2,
    rss_max=40 << 20,
    goroutines_max=50,
)


def trial(**during: object) -> Trial:
    phases = [WELL, dataclasses.replace(WELL, name="during", **during)]  # type: ignore[arg-type]
    made = Trial(service="otel", fault="refused", phases=phases, exit_s=0.1, exit_limit_s=60)
    judge(made)
    return made


def spans(number: int) -> bytes:
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for _ in range(number):
        scope.spans.add()
    return request.SerializeToString()


def test_what_arrives_is_counted_by_item() -> None:
    """A request of OTLP holds many spans or records; a message of SkyWalking's streams is one."""
    tally = Tally()
    tally.take("/opentelemetry.proto.collector.trace.v1.TraceService/Export", spans(7))
    tally.take("/v1/traces", spans(2))
    logs = ExportLogsServiceRequest()
    logs.resource_logs.add().scope_logs.add().log_records.add()
    tally.take("/v1/logs", logs.SerializeToString())
    for _ in range(3):
        tally.take("/skywalking.v3.TraceSegmentReportService/collect", b"segment")
    tally.take("/skywalking.v3.ManagementService/keepAlive", b"")
    assert tally.items == {SPANS: 9, LOGS: 1, SEGMENTS: 3}
    assert tally.unread == 0


@given(st.binary(max_size=200))
def test_no_message_breaks_the_count(message: bytes) -> None:
    """What is no request is counted as unread, never raised."""
    tally = Tally()
    tally.take("/v1/traces", message)
    assert tally.unread + (SPANS in tally.items) == 1


def test_recovery_is_told_from_the_mark_on() -> None:
    """What came before the mark is no recovery, and logs are none."""
    tally = Tally()
    tally.take("/v1/traces", spans(1))
    tally.mark()
    assert tally.first_after_s is None
    tally.take("/v1/logs", b"")
    assert tally.first_after_s is None
    tally.take("/v1/traces", spans(1))
    assert tally.first_after_s is not None
    assert tally.first_after_s >= 0


def test_losing_telemetry_is_no_harm() -> None:
    """A service that goes on as before is unharmed, whatever its telemetry lost."""
    one = trial()
    one.told = [Told(signal="spans", made=1000, arrived=1)]
    judge(one)
    assert (one.harm, one.reasons, one.told[0].lost) == (Harm.UNHARMED, [], 999)


@pytest.mark.parametrize(
    ("during", "says"),
    [
        ({"p99_ms": 26.0}, "p99 rose from 5.0 to 26.0 ms"),
        ({"cpu_cores": 0.8}, "0.8 processors busy, 0.2 before"),
        ({"errors": 3}, "3 of 2,000 requests failed"),
        ({"requests": None}, "the load did not end"),
        ({"rss_max": 200 << 20}, "memory rose from 40 to 200 MiB"),
        ({"goroutines_max": 251}, "goroutines rose from 50 to 251"),
        ({"said_lines": 61}, "61 lines"),
        ({"growing": (Growing(code="PW105", verdict="leak", title="a pile at f"),)}, "a pile at f"),
    ],
)
def test_harm_says_in_which_phase_and_how(during: dict[str, object], says: str) -> None:
    """Each measure that is worse than before by more than its allowance is a reason."""
    one = trial(**during)
    assert one.harm is Harm.HARMED
    assert [reason for reason in one.reasons if says in reason and reason.startswith("during: ")] == one.reasons


@pytest.mark.parametrize(
    "during",
    [
        {"p99_ms": 25.0},
        {"cpu_cores": 0.69},
        {"p99_ms": 2600.0, "late_ms": 11.0},
        {"errors": 2},
        {"rss_max": 104 << 20},
        {"goroutines_max": 250},
        {"said_lines": 60},
        {"growing": (Growing(code="PW105", verdict="suspect", title="perhaps"),)},
        {"p99_ms": None, "rss_max": None, "goroutines_max": None, "errors": None},
    ],
)
def test_within_the_allowances_is_unharmed(during: dict[str, object]) -> None:
    """Noise of the machine, full queues, suspicions, and what is not told are no harm."""
    assert trial(**during).harm is Harm.UNHARMED


def test_a_busy_machine_is_said() -> None:
    """Where the load generator itself was late, latencies are not compared, and that is told."""
    assert "the load generator itself was 11 ms late" in trial(p99_ms=2600.0, late_ms=11.0).doubts[0]
    assert trial(late_ms=10.0).doubts == []


def test_ending_late_or_never_is_harm() -> None:
    """A service that cannot end delays every deployment."""
    one = trial()
    one.exit_s = 5.1
    judge(one)
    assert one.reasons == ["took 5.1 s to end"]
    one.exit_s = None
    judge(one)
    assert one.reasons == ["did not end within 60 s of SIGTERM"]


def test_death_outweighs_all() -> None:
    """How it died is the first reason."""
    one = trial(errors=1000)
    one.died = "died during: exit code 2"
    judge(one)
    assert one.harm is Harm.DIED
    assert one.reasons[0] == one.died
    whole = Drill(name="x", begun_at="", took_s=1, rate_per_s=1, versions={}, trials=[trial(), one])
    assert whole.harm is Harm.DIED


@pytest.mark.parametrize(
    "options",
    [
        DrillOptions(services=("nothing",)),
        DrillOptions(services=()),
        DrillOptions(faults=()),
        DrillOptions(faults=(Fault.HEALTHY,)),
        DrillOptions(during_s=0.5),
        DrillOptions(after_s=601),
        DrillOptions(rate_per_s=0),
        DrillOptions(leak_per_s=-1),
        DrillOptions(exit_limit_s=0.5),
        DrillOptions(services=("reporter-recursion",), leak_per_s=1),
        DrillOptions(own=OwnService(command=(), url="http://127.0.0.1:1/x", debug="http://127.0.0.1:1")),
        DrillOptions(own=OwnService(command=("a",), url="http://127.0.0.1.example.com/x", debug="http://127.0.0.1:1")),
        DrillOptions(own=OwnService(command=("a",), url="http://127.0.0.1:1/x", debug="http://10.0.0.1:1")),
        DrillOptions(
            own=OwnService(command=("a",), url="http://127.0.0.1:1/x", debug="http://127.0.0.1:1"), leak_per_s=1
        ),
    ],
)
def test_what_makes_no_drill_is_refused_before_anything_is_built(
    options: DrillOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Usage errors come at once."""
    monkeypatch.setattr(drill, "go_build", lambda *_a, **_k: pytest.fail("built"))
    with pytest.raises(UsageError):
        backend_unreachable(options)


def test_each_desk_says_what_it_made() -> None:
    """From its own /truth: OpenTelemetry counts spans, the agent makes a segment of each request."""
    truth = {"requests": 12, "told": {"spans": 9, "logs": 3}}
    assert DESKS["otel"].made(truth) == {SPANS: 9, LOGS: 3}
    assert DESKS["skywalking"].made(truth) == {SEGMENTS: 12, LOGS: 3}
    assert all("127.0.0.1:4317" in " ".join(one.env("127.0.0.1:4317").values()) for one in DESKS.values())


def test_the_agents_cache_changes_with_what_it_is_made_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another plugin, another Go: another agent and another build cache."""
    monkeypatch.setattr(_desk_build, "go_version", lambda: "go1.27.3")
    (tmp_path / "http").mkdir()
    (tmp_path / "http" / "served.go").write_text("package http")
    first = _desk_build._key(tmp_path)
    assert first == _desk_build._key(tmp_path)
    (tmp_path / "http" / "served.go").write_text("package http // changed")
    second = _desk_build._key(tmp_path)
    monkeypatch.setattr(_desk_build, "go_version", lambda: "go1.28")
    assert len({first, second, _desk_build._key(tmp_path)}) == 3


def test_the_agents_pinned_version_is_the_recipes() -> None:
    """go.mod and the builder name one commit."""
    recipe = _desk_build.labs_folder() / "instrumented" / "agent" / "go.mod"
    assert f"{_desk_build.AGENT_MODULE} {_desk_build.AGENT_VERSION}" in recipe.read_text()


def test_the_command_offers_what_there_is() -> None:
    """Its choices are spelled out so that `--help` need not load back ends: they are the same."""
    from parkwarden.cli.drill import DrilledFault, DrilledService

    assert {one.value for one in DrilledFault} == {one.value for one in Fault} - {"healthy"}
    assert {one.value for one in DrilledService} == set(SERVICES)
