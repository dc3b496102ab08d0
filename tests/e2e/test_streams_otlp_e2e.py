"""OpenTelemetry in and out: a real Go service with OpenTelemetry's SDK, the real watch, and a real Collector between and behind them."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from parkwarden.model import ParkwardenError
from parkwarden.run._desk_build import build_desk, builds_dir
from parkwarden.run._lab_build import find_go, go_environment
from parkwarden.run._lab_process import LabProcess, free_port, spawn, start_service
from tests.e2e.otlp_backend import OtlpBackend
from tests.e2e.test_watch_e2e import get
from tests.e2e.watching import Watching, watching

COLLECTOR = "v0.161.0"
"""The newest whose modules the Go proxy gives out whole (2026-11-22); providers carry `PROVIDERS`."""
PROVIDERS = "v1.67.0"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The order desk built with OpenTelemetry's SDK; skips, and says so, where its modules cannot be fetched."""
    try:
        return build_desk("otel", tmp_path_factory.mktemp("desk"), lambda *_: None)
    except ParkwardenError as error:
        if error.code == "lab-modules-unreachable":
            pytest.skip(f"no Go modules here: {error.message}")
        raise


def start_desk(program: Path, folder: Path, endpoint: str, protocol: str = "grpc") -> LabProcess:
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        "OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=desk-1,deployment.environment.name=test",
    }
    return start_service("desk", program, folder / "desk.log", env=env)


def config(folder: Path, receive: str, report: str) -> Path:
    file = folder / "parkwarden.yaml"
    file.write_text(
        f"""
receive: {{otlp: {receive}}}
telemetry: {{otlp: {report}, metrics_every_s: 2s}}
rules: {{trend: {{min_span_s: 5s}}}}
web: {{listen: 127.0.0.1:0}}
store: {{folder: {folder / "data"}}}
"""
    )
    return file


def listening(watch: Watching, kind: str) -> str:
    """host:port that the watch takes metrics on."""
    told = watch.wait(lambda: watch.said("info", "otlp", f"{kind}://"))
    found = re.search(kind + r"://([\w.]+:\d+)", told[0]["text"])
    assert found is not None
    return found[1]


def leaking(watch: Watching, service: LabProcess) -> None:
    """Begin a leak after some healthy readings, until it is an incident."""
    pages = watch.pages()
    watch.wait(lambda: re.search(r'parkwarden_stream_instances\{stream="otlp"\} 1', get(f"{pages}/metrics")), 90)
    time.sleep(8)
    service.get("/leak/start?per_s=50")
    watch.wait(lambda: watch.said("incident", "firing", "desk"), 150)


@pytest.mark.e2e
def test_a_services_otlp_metrics_drive_the_watch_and_its_findings_come_back_as_otlp(desk: Path, tmp_path: Path) -> None:
    """No target, no scrape: the SDK's numbers alone raise the incident, which a back end is told of as an event, beside the
    watch's numbers and traces."""
    with OtlpBackend() as backend:
        report = f"{{url: 'http://127.0.0.1:{backend.port}'}}"
        with watching(config(tmp_path, "{grpc: {listen: '127.0.0.1:0'}}", report)) as watch:
            service = start_desk(desk, tmp_path, f"http://{listening(watch, 'grpc')}")
            try:
                leaking(watch, service)
                record, about = watch.wait(lambda: backend.logs("parkwarden.incident"))[0]
                metrics = get(f"{watch.pages()}/metrics")
            finally:
                service.stop()
            assert watch.stop() == 130
        assert about["parkwarden.service"] == "desk"
        assert about["parkwarden.env"] == "test"
        assert about["parkwarden.incident.state"] == "firing"
        assert record.severity_number >= 13
        assert {"parkwarden.ticks", "parkwarden.stream_points", "parkwarden.incident.count"} <= backend.metric_names()
        assert {"beat", "judge", "commit"} <= backend.span_names()
    assert re.search(r'parkwarden_stream_points_total\{outcome="taken",stream="otlp"\} [1-9]', metrics)
    assert re.search(r'parkwarden_telemetry_items_total\{[^}]*outcome="sent"[^}]*\} [1-9]', metrics)
    assert 'outcome="malformed"' not in metrics


@pytest.fixture(scope="module")
def collector() -> Path:
    """A Collector built from the Go module proxy, once for all runs; skips, and says so, where it cannot be fetched."""
    home = builds_dir() / f"otel-collector-{COLLECTOR}"
    program = home / "out" / "collector"
    if program.exists():
        return program
    home.mkdir(parents=True, exist_ok=True)
    core = "go.opentelemetry.io/collector"
    parts = {"receivers": ["receiver/otlpreceiver"], "exporters": ["exporter/otlpexporter", "exporter/otlphttpexporter", "exporter/debugexporter"]}  # fmt: skip
    lines = ["dist: {name: collector, output_path: ./out}"]
    for kind, names in parts.items():
        lines += [f"{kind}:", *(f"  - gomod: {core}/{name} {COLLECTOR}" for name in names)]
    lines += ["providers:", *(f"  - gomod: {core}/confmap/provider/{n}provider {PROVIDERS}" for n in ("env", "file"))]
    (home / "builder.yaml").write_text("\n".join(lines) + "\n")
    go = Path(find_go())
    env = go_environment() | {"PATH": f"{go.parent}{os.pathsep}{os.environ['PATH']}"}
    command = [str(go), "run", f"{core}/cmd/builder@{COLLECTOR}", "--config", "builder.yaml"]
    built = subprocess.run(command, cwd=home, env=env, capture_output=True, text=True, timeout=1200, check=False)
    if built.returncode:
        pytest.skip(f"no Collector could be built here: {(built.stdout + built.stderr)[-500:]}")
    return program


@pytest.mark.full
@pytest.mark.parametrize("kind", ["grpc", "http"])
def test_a_real_collector_forwards_a_services_metrics_and_receives_ours(
    collector: Path, desk: Path, tmp_path: Path, kind: str
) -> None:
    """Service -> Collector -> watch -> Collector: the leak is found by what the Collector forwarded, and the Collector shows the incident's
    event, our numbers and our spans."""
    front, back, file, log = free_port(), free_port(), tmp_path / "collector.yaml", tmp_path / "collector.log"
    report = f"{{url: 'http://127.0.0.1:{back}', protocol: {kind}}}"
    with watching(config(tmp_path, f"{{{kind}: {{listen: '127.0.0.1:0'}}}}", report)) as watch:
        forward = listening(watch, kind)
        exporter = f"otlp: {{endpoint: '{forward}', tls: {{insecure: true}}}}" if kind == "grpc" else f"otlphttp: {{endpoint: 'http://{forward}'}}"  # fmt: skip
        file.write_text(
            f"""
receivers:
  otlp/front: {{protocols: {{{kind}: {{endpoint: '127.0.0.1:{front}'}}}}}}
  otlp/back: {{protocols: {{{kind}: {{endpoint: '127.0.0.1:{back}'}}}}}}
exporters:
  {exporter}
  debug: {{verbosity: detailed}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    metrics/front: {{receivers: [otlp/front], exporters: [{exporter.split(":")[0]}]}}
    metrics: {{receivers: [otlp/back], exporters: [debug]}}
    logs: {{receivers: [otlp/back], exporters: [debug]}}
    traces: {{receivers: [otlp/back], exporters: [debug]}}
"""
        )
        between = spawn("collector", [str(collector), "--config", str(file)], log)
        service = start_desk(desk, tmp_path, f"http://127.0.0.1:{front}", "grpc" if kind == "grpc" else "http/protobuf")
        try:
            leaking(watch, service)
            watch.wait(lambda: "parkwarden.incident" in log.read_text() and "parkwarden.ticks" in log.read_text())
            watch.wait(lambda: re.search(r"Name\s+: beat", log.read_text()))
        finally:
            service.stop()
            between.stop()
        assert watch.stop() == 130
    assert "parkwarden.service: Str(desk)" in log.read_text()
    assert "Exporting failed" not in log.read_text()
