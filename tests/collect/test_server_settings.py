"""Timeouts and limits found in Go source."""

from __future__ import annotations

from pathlib import Path

import pytest

from parkwarden.collect.server_settings import Call, server_settings
from parkwarden.judge.limits import Server

HEAD = 'package main\n\nimport (\n\t"net/http"\n\t"runtime"\n\td "runtime/debug"\n\t"time"\n)\n\n'


def scan(folder: Path, body: str, name: str = "main.go") -> tuple[list[Server], list[Call]]:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(HEAD + body)
    found = server_settings(folder)
    return found.servers, found.calls


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("30 * time.Second", 30.0),
        ("time.Second * 30", 30.0),
        ("time.Minute + 30*time.Second", 90.0),
        ("(2 * time.Minute) / 4", 30.0),
        ("500 * time.Millisecond", 0.5),
        ("time.Duration(5) * time.Second", 5.0),
        ("5e9", 5.0),
        ("30_000_000_000", 30.0),
        ("-1", -1e-9),
        ("0", 0.0),
        ("wait", 45.0),
        ("seconds * time.Second", 20.0),
        ("twice", None),
        ("config.Timeout", None),
        ("f()", None),
    ],
)
def test_constants_are_worked_out(tmp_path: Path, expression: str, value: float | None) -> None:
    """Durations as they are written, constants of the file; what only running tells, or is declared twice, is None."""
    body = (
        "const (\n\twait = 45 * time.Second\n\tseconds = 20\n)\n"
        "func a() { const twice = time.Second }\nfunc b() { const twice = time.Minute }\n"
        f"var srv = &http.Server{{ReadTimeout: {expression}}}\n"
    )
    (server,), _ = scan(tmp_path, body)
    assert server.read_s == pytest.approx(value) if value is not None else server.read_s is None
    assert server.where == "main.go:16"


def test_every_timeout_has_its_field(tmp_path: Path) -> None:
    """Four fields by name, whatever stands between; those not named are zero, which is never."""
    (server, bare), _ = scan(
        tmp_path,
        "var a = http.Server{\n\tAddr: x(), ReadTimeout: time.Second,\n\tReadHeaderTimeout: 2 * time.Second,\n"
        "\tWriteTimeout: 3 * time.Second, IdleTimeout: 4 * time.Second,\n}\nvar b = &http.Server{}\n",
    )
    assert (server.read_s, server.read_header_s, server.write_s, server.idle_s) == (1.0, 2.0, 3.0, 4.0)
    assert (bare.read_s, bare.read_header_s, bare.write_s, bare.idle_s) == (0.0, 0.0, 0.0, 0.0)


def test_go_lets_read_timeouts_stand_in() -> None:
    """net/http/server.go: a zero ReadHeaderTimeout or IdleTimeout is ReadTimeout; negative is never, unknown is unknown."""
    assert Server(where="", read_s=30.0).header_in_force_s == 30.0
    assert Server(where="", read_s=30.0).idle_in_force_s == 30.0
    assert Server(where="", read_s=30.0, idle_s=-1.0).idle_in_force_s == 0.0
    assert Server(where="", read_s=None).idle_in_force_s is None
    assert Server(where="", read_s=None, idle_s=5.0).idle_in_force_s == 5.0


def test_a_timeout_set_later_is_not_known(tmp_path: Path) -> None:
    """`srv.WriteTimeout = ...` somewhere in the file: the literal's value is not the one in force."""
    (server,), _ = scan(
        tmp_path,
        "func f() {\n\tsrv := &http.Server{WriteTimeout: time.Second, IdleTimeout: time.Minute}\n\tsrv.WriteTimeout = g()\n}\n",
    )
    assert (server.write_s, server.idle_s) == (None, 60.0)


def test_servers_without_fields_are_found(tmp_path: Path) -> None:
    """`var s http.Server` and `new(http.Server)`: all zero, but for what is set later."""
    servers, _ = scan(tmp_path, "var s http.Server\nfunc f() { t := new(http.Server); t.IdleTimeout = x }\n")
    assert [(one.literal, one.read_s, one.idle_s) for one in servers] == [(True, 0.0, None), (True, 0.0, None)]


def test_servers_without_any_literal_are_found(tmp_path: Path) -> None:
    """http.ListenAndServe and its like make a server that has no timeout."""
    servers, _ = scan(tmp_path, "func f() { http.ListenAndServe(a, nil); http.Serve(l, nil); srv.ListenAndServe() }\n")
    assert [one.literal for one in servers] == [False, False]


def test_calls_that_change_limits_are_found(tmp_path: Path) -> None:
    """By import path, under whatever name, with their value where it is constant."""
    _, calls = scan(
        tmp_path,
        "const most = 1536\nfunc f() { d.SetMaxThreads(most); d.SetMemoryLimit(1 << 30); d.SetGCPercent(-1); runtime.GOMAXPROCS(n) }\n"
        "func g() { other.SetMaxThreads(9) }\n",
    )
    assert [(one.function, one.value) for one in calls] == [
        ("SetMaxThreads", 1536.0),
        ("SetMemoryLimit", float(1 << 30)),
        ("SetGCPercent", -1.0),
        ("GOMAXPROCS", None),
    ]


@pytest.mark.parametrize("name", ["main_test.go", "vendor/x/x.go", "a/testdata/x.go"])
def test_others_code_is_not_the_services(tmp_path: Path, name: str) -> None:
    """Tests, vendored modules and test data tell nothing of what runs."""
    assert scan(tmp_path, "var a = http.Server{}\n", name) == ([], [])


def test_another_http_is_another(tmp_path: Path) -> None:
    """A package of the same name is not net/http."""
    (tmp_path / "x.go").write_text('package x\nimport "example.com/http"\nvar s = http.Server{}\n')
    assert server_settings(tmp_path).servers == []


def test_broken_and_deep_source_costs_itself(tmp_path: Path) -> None:
    """Half a file, binary, and nesting made to hurt: the other file is still read."""
    (tmp_path / "a.go").write_bytes(b'package a\nimport "net/http"\nvar s = http.Server{ReadTimeout: ' + b"(" * 30_000)
    (tmp_path / "b.go").write_bytes(bytes(range(256)) * 20 + b"http.Server")
    servers, _ = scan(tmp_path, "var s = http.Server{IdleTimeout: time.Second}\n", "c.go")
    assert servers[-1].idle_s == 1.0


def test_no_folder_is_an_error(tmp_path: Path) -> None:
    """A path that is no folder raises what collect/source raises."""
    with pytest.raises(NotADirectoryError):
        server_settings(tmp_path / "nothing")
