"""Doctor: each check in its three states, and never a word that must not be shown."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections import namedtuple
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from aiohttp import web
from typer.testing import CliRunner

from parkwarden import kernels
from parkwarden.act.settings import Channels, StdoutSettings, WebhookSettings
from parkwarden.cli import app
from parkwarden.collect.discovery.settings import DiscoverySettings, FileSd, StaticTargets
from parkwarden.collect.fleet.settings import CollectSettings
from parkwarden.collect.streams.prometheus.settings import PrometheusSource
from parkwarden.collect.streams.settings import Listener, ReceiveSettings
from parkwarden.model.instance import Auth, Secret, Target
from parkwarden.run import doctor
from parkwarden.run._doctor_target import TargetReport, _skew, examine_target
from parkwarden.run.config import Config, WebSettings
from parkwarden.run.doctor import Check, State, examine, healthy, to_json
from parkwarden.store.settings import StoreSettings

CANARY = "Canary-7f3Xq9-word"
INDEX = b"<html><td>12</td><td><a href='goroutine?debug=1'>goroutine</a></td><td>1</td><td><a href='goroutineleak?debug=1'>x</a></td>"


def config_in(folder: Path, **parts: Any) -> Config:
    folder.chmod(0o700)
    return Config(store=StoreSettings(folder=str(folder)), web=WebSettings(listen="127.0.0.1:0"), **parts)


def run(config: Config) -> dict[str, Check]:
    return {f"{c.section}/{c.name}": c for c in asyncio.run(examine(config))}


def asked(pages: dict[str, Any], **target: Any) -> TargetReport:
    """What doctor says of a target that answers these pages: bytes, or a status."""

    async def handle(request: web.Request) -> web.Response:
        answer = pages.get(request.path, 404)
        headers = {"Date": pages["date"]} if "date" in pages else {}
        if isinstance(answer, int):
            return web.Response(status=answer, text=CANARY, headers=headers)
        return web.Response(body=answer, headers=headers)

    async def whole() -> TargetReport:
        runner = web.ServerRunner(web.Server(handle))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        try:
            return await examine_target(Target(id="t", url=f"http://127.0.0.1:{port}", **target))
        finally:
            await runner.cleanup()

    return asyncio.run(whole())


def test_a_target_that_offers_everything() -> None:
    """Pages, profiles, Go version, count, whether a census is possible; nothing to do."""
    metrics = b'# TYPE go_info gauge\ngo_info{version="go1.27.3"} 1\ngo_goroutines 12\n'
    report = asked({"/debug/pprof/": INDEX, "/metrics": metrics})
    assert (report.problem, report.hints) == ("", ())
    assert (report.go_version, report.goroutines, report.census, report.leak_profile) == ("go1.27.3", 12, True, True)
    assert report.clock_skew_s is not None
    assert abs(report.clock_skew_s) < 5
    assert "census" in report.in_short()


@pytest.mark.parametrize(
    ("pages", "said", "hint"),
    [
        ({}, "has none of", "net/http/pprof"),
        ({"/debug/pprof/": 401}, "refuses us (401)", "auth"),
        ({"/metrics": 302}, "redirects", "address"),
        (
            {"/metrics": b"\xff\x00 no metrics", "/debug/vars": b"<html>", "/debug/pprof/": b"hello"},
            "has none of",
            "pprof",
        ),
    ],
)
def test_a_target_that_offers_nothing(pages: dict[str, Any], said: str, hint: str) -> None:
    """Why, and the next step; nothing of what it answered."""
    report = asked(pages)
    assert said in report.problem
    assert hint in report.next
    assert CANARY not in repr(report)


def test_a_target_that_offers_some() -> None:
    """Old Go has no census, no pprof names no line, no pages tell no memory: warnings with a way out."""
    old = asked(
        {
            "/debug/pprof/": INDEX.replace(b"goroutineleak", b"heap"),
            "/metrics": b'go_info{version="go1.21.13"} 1\ngo_goroutines 1\n',
        }
    )
    assert (old.census, len(old.hints)) == (False, 1)
    counts = asked({"/metrics": b"go_goroutines 7\n"})
    assert (counts.census, counts.goroutines) == (False, 7)
    assert "no line is named" in counts.hints[0]
    bare = asked({"/debug/pprof/": INDEX.replace(b"goroutineleak", b"heap")})
    assert bare.census is None
    assert "file descriptors are not told" in bare.hints[0]


def test_a_clock_that_is_wrong() -> None:
    """The Date header against ours; beyond 5 s a warning that says which way."""
    report = asked({"/debug/pprof/": INDEX, "date": formatdate(0, usegmt=True)})
    report.hints = ()
    check = doctor._target_check(report)
    assert check.state is State.WARN
    assert "behind ours" in check.text
    assert "NTP" in check.next
    assert _skew("Thu, 01 Jan 1970 00:01:40 GMT", 90.5) == 10.0
    assert all(_skew(text, 0.0) is None for text in ("", "soon", "99 Foo 0 99:99:99 GMT"))


def test_nobody_there_and_secrets_unseen() -> None:
    """A refused connection is told; credentials of the target are not."""
    auth = Auth(user="me", password=Secret(CANARY))
    report = asyncio.run(examine_target(Target(id="t", url="http://127.0.0.1:1", auth=auth)))
    assert "no connection" in report.problem
    gone = asyncio.run(examine_target(Target(id="t", url="unix:/nowhere.sock")))
    assert "no connection" in gone.problem
    bad_tls = Auth(ca_file="/nowhere.pem")
    report = asyncio.run(examine_target(Target(id="t", url="https://127.0.0.1:1", auth=bad_tls)))
    assert "ca_file" in report.problem
    assert CANARY not in repr(report)


def test_a_new_configuration_without_targets(tmp_path: Path) -> None:
    """All is there but targets: that fails; that nobody is told is a warning."""
    checks = run(config_in(tmp_path))
    assert checks["targets/targets"].state is State.FAIL
    assert checks["channels/channels"].state is State.WARN
    assert checks["store/folder"].state is State.OK
    assert checks["store/database"].text.startswith("SQLite, will be made")
    assert list(tmp_path.iterdir()) == []
    assert not healthy(list(checks.values()))


def test_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readable by others is a warning; not writable, or no room, a failure with a way out."""
    config = config_in(tmp_path)
    tmp_path.chmod(0o755)
    assert run(config)["store/folder"].next.startswith("chmod 700")
    (tmp_path / "file").write_text("x")
    blocked = run(replace(config, store=StoreSettings(folder=str(tmp_path / "file"))))["store/folder"]
    assert blocked.state is State.FAIL
    usage = namedtuple("usage", "total used free")
    for free, state in ((100 << 20, State.FAIL), (1 << 30, State.WARN), (1 << 40, State.OK)):
        monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _p, free=free: usage(1, 1, free))
        assert run(config)["store/disk space"].state is state


def test_the_database(tmp_path: Path) -> None:
    """One that is there answers, a damaged or absent one fails without its password being shown."""
    (tmp_path / "state.db").write_bytes(b"no database at all" * 100)
    assert run(config_in(tmp_path))["store/database"].state is State.FAIL
    away = StoreSettings(folder=str(tmp_path), url="postgresql://me@127.0.0.1:1/x", password=Secret(CANARY))
    checks = run(replace(config_in(tmp_path), store=away))
    assert checks["store/database"].state is State.FAIL
    assert CANARY not in repr(checks)
    lost = StoreSettings(
        folder=str(tmp_path), evidence_url="nowhere://x", evidence_options=(("secret", Secret(CANARY)),)
    )
    checks = run(replace(config_in(tmp_path), store=lost))
    assert checks["store/evidence"].state is State.FAIL
    assert CANARY not in json.dumps(to_json(list(checks.values()), 0.0))


def test_the_port(tmp_path: Path) -> None:
    """Taken already is a warning: we may be running; a token in the clear is one too."""
    config = config_in(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        assert "running already" in run(replace(config, web=WebSettings(listen=listen)))["web/listen"].next
    open_one = WebSettings(listen="0.0.0.0:0", token=Secret("x" * 16))
    assert "unencrypted" in run(replace(config, web=open_one))["web/listen"].text


def test_streams(tmp_path: Path) -> None:
    """Who has nothing but streams lacks no targets; a receiver's address that is taken and a Prometheus that does not answer, or tells of
    nobody, are said with the setting to look at."""

    async def api(request: web.Request) -> web.Response:
        rows = [{"metric": {"instance": "a:1"}, "value": [1.0, "1"]}] if "shop" in request.query["query"] else []
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": rows}})

    async def examined() -> dict[str, Check]:
        runner = web.ServerRunner(web.Server(api))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        there = f"http://127.0.0.1:{port}"
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            sources = (
                PrometheusSource(url=there, selector='{job="shop"}'),
                PrometheusSource(url=there),
                PrometheusSource(url=f"http://{address}", timeout_s=0.2),
            )
            receive = ReceiveSettings(skywalking=Listener(listen=address), remote_write=Listener(listen="127.0.0.1:0"))
            config = config_in(tmp_path, collect=CollectSettings(prometheus=sources), receive=receive)
            checks = await examine(config)
        await runner.cleanup()
        return {f"{c.section}/{c.name}": c for c in checks}

    found = asyncio.run(examined())
    assert "targets/targets" not in found
    assert found["streams/remote_write"].state is State.OK
    assert (found["streams/skywalking"].state, found["streams/skywalking"].next) == (
        State.WARN,
        "is parkwarden running already? else choose receive.skywalking.listen",
    )
    states = [(found[f"streams/prometheus[{n}]"].state, found[f"streams/prometheus[{n}]"].next) for n in range(3)]
    assert states == [
        (State.OK, ""),
        (State.FAIL, "collect.prometheus[1].selector"),
        (State.FAIL, "collect.prometheus[2]"),
    ]
    assert found["streams/prometheus[0]"].text.endswith("tells of 1 instance")


def test_channels_and_sources(tmp_path: Path) -> None:
    """An unsigned webhook is a warning; a source without targets and a problem fails, one that keeps some warns."""
    channels = Channels(
        webhook={"a": WebhookSettings(url="http://h/"), "b": WebhookSettings(url="http://h/", secret=Secret(CANARY))},
        stdout={"c": StdoutSettings()},
    )
    (tmp_path / "x.json").write_text('[{"targets": ["127.0.0.1:1", 5]}]')
    discovery = DiscoverySettings(
        file_sd=(FileSd(files=(f"{tmp_path}/none.json",)), FileSd(files=(f"{tmp_path}/x.json",))), max_targets=1
    )
    checks = run(
        config_in(tmp_path, channels=channels, discovery=discovery, targets=(StaticTargets(urls=("127.0.0.1:2",)),))
    )
    states = {name: c.state.value for name, c in checks.items()}
    assert [states[f"channels/{n}"] for n in "abc"] == ["warn", "ok", "ok"]
    assert states["discovery/file_sd[0]"] == "fail"
    assert states["discovery/file_sd[1]"] == "warn"
    assert states["discovery/limit"] == "fail"
    assert CANARY not in repr(checks)


def test_kernels_not_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cold cache is a warning with the command that warms it; asking does not compile."""
    monkeypatch.setenv("PARKWARDEN_CACHE_DIR", str(tmp_path / "cold"))
    monkeypatch.setattr(kernels, "_loaded", {})
    check = run(config_in(tmp_path))["kernels/compiled"]
    assert (check.state, check.next) == (State.WARN, "python -m parkwarden.kernels")
    assert not (tmp_path / "cold").exists()


def test_a_check_that_breaks_is_a_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug of ours in one of them does not take the others along."""
    monkeypatch.setattr(doctor, "_kernels", lambda: 1 / 0)
    checks = run(config_in(tmp_path))
    assert checks["kernels/doctor"].state is State.FAIL
    assert "store/folder" in checks


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken file shows every mistake with its line and ends with 1; hostile words are inert; JSON has its shape."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "p.yaml"
    file.write_text("web: {lisen: 1}\nstore: {sync: never}\n")
    ran = CliRunner().invoke(app, ["doctor", "-c", str(file), "--format", "json"])
    told = json.loads(ran.stdout)
    jsonschema.validate(told, json.loads((Path(__file__).parents[2] / "docs/schema/doctor-1.json").read_text()))
    assert ran.exit_code == 1
    assert (told["schema"], told["ok"]) == ("parkwarden.doctor/1", False)
    assert [c["text"].split(":")[0] for c in told["checks"]] == ["line 1", "line 2"]
    evil = tmp_path / "evil\x1b[31m"
    (tmp_path / "s.json").write_text(json.dumps([{"targets": ["127.0.0.1:1"]}, {"targets": ["h:1\x1b[2J"]}]))
    file.write_text(
        f"discovery: {{file_sd: [{{files: [s.json, {json.dumps(str(evil) + '.json')}]}}]}}\nstore: {{folder: data}}\n"
    )
    ran = CliRunner().invoke(app, ["doctor", "-c", str(file)])
    assert ran.exit_code == 1
    assert "\x1b" not in ran.stdout
    assert not (tmp_path / "data").exists()
    assert CliRunner().invoke(app, ["doctor"]).exception is not None
    assert os.environ.get("PARKWARDEN_TOKEN") is None
