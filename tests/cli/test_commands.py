"""The commands as a user types them: exit codes, errors with a next step, stable JSON."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

BIN = Path(sys.executable).with_name("parkwarden")


def run(*args: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([str(BIN), *args], input=stdin, capture_output=True, check=False)


@pytest.fixture(scope="module")
def crash(data: Path) -> Path:
    return data / "crash_log" / "go1.27" / "stack-mutual.txt"


def test_a_crash_is_found(crash: Path) -> None:
    """A cause of death ends with exit code 1 and names the cycle in plain text (no terminal, no colours)."""
    ran = run("diagnose", str(crash))
    assert ran.returncode == 1
    out = ran.stdout.decode()
    assert "stack overflow by endless recursion" in out
    assert "\x1b" not in out


def test_json_is_the_schema(crash: Path) -> None:
    """--format json prints one document with the schema's fields in its order."""
    ran = run("diagnose", str(crash), "--format", "json")
    report = json.loads(ran.stdout)
    assert list(report) == ["schema", "generated_at", "inputs", "findings", "redacted"]
    assert report["schema"] == "parkwarden.report/1"
    assert report["inputs"][0]["name"] == "stack-mutual.txt"
    assert report["findings"][0]["code"] == "PW201"


def test_standard_input_and_archives(crash: Path, tmp_path: Path) -> None:
    """The same evidence by pipe or in a zip gives the same first finding."""
    archive = tmp_path / "incident.bin"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as bag:
        bag.write(crash, "logs/crash.log")
    for ran in (
        run("diagnose", "-", "--format", "json", stdin=crash.read_bytes()),
        run("diagnose", str(archive), "--format", "json"),
    ):
        assert json.loads(ran.stdout)["findings"][0]["code"] == "PW201"


def test_nothing_wrong_is_zero(data: Path) -> None:
    """An input without anything to accuse ends with 0."""
    assert run("diagnose", str(data / "expvar" / "go1.27" / "vars.json")).returncode == 0


def test_unreadable_is_three(tmp_path: Path) -> None:
    """What no reader knows ends with 3, and the report says what was looked for."""
    junk = tmp_path / "junk"
    junk.write_bytes(b"\x00\x01nothing we know" * 9)
    ran = run("diagnose", str(junk))
    assert ran.returncode == 3
    assert b"junk" in ran.stdout


def test_missing_files_and_dead_services(tmp_path: Path) -> None:
    """A file that is not there is unreadable (3), a service that does not answer unreachable (4); both with a next step."""
    for target, code in ((str(tmp_path / "nowhere"), 3), ("http://127.0.0.1:9", 4)):
        ran = run("diagnose", target)
        assert ran.returncode == code, ran.stderr
        assert ran.stderr.startswith(b"error[")
        assert b"  next: " in ran.stderr


def test_usage_is_two(crash: Path, tmp_path: Path) -> None:
    """Unknown options, unknown codes and outputs that exist already end with 2."""
    assert run("diagnose").returncode == 2
    assert run("diagnose", "--no-such-option", "x").returncode == 2
    assert run("explain", "PW999").returncode == 2
    out = tmp_path / "report.html"
    out.write_text("mine")
    ran = run("diagnose", str(crash), "--format", "html", "-o", str(out))
    assert ran.returncode == 2
    assert b"--force" in ran.stderr
    assert out.read_text() == "mine"


def test_explain_teaches() -> None:
    """`explain` lists all codes, and explains one by code or by name alike."""
    listing = run("explain").stdout
    assert listing.count(b"\n") > 30
    assert run("explain", "PW104").stdout == run("explain", "send-without-receiver").stdout


def test_stacks_compare(data: Path) -> None:
    """`stacks --diff` of two looks tells the counts of both; without goroutines it says what to save."""
    folder = data / "patterns" / "send-without-receiver"
    files = sorted(str(f) for f in (folder / "leak").iterdir())
    ran = run("stacks", *files, "--format", "json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["schema"] == "parkwarden.stacks/1"
    refused = run("stacks", str(data / "expvar" / "go1.27" / "vars.json"))
    assert refused.returncode == 3
    assert b"next: save one" in refused.stderr


def test_trace_of_something_else_is_refused(crash: Path) -> None:
    """`trace` says what the file is and how to record a trace."""
    ran = run("trace", str(crash))
    assert ran.returncode == 3
    assert b"record one" in ran.stderr


def test_hostile_names_are_inert(data: Path, tmp_path: Path) -> None:
    """Escape sequences, markup and right-to-left marks in a dump reach neither terminal nor page as what they are."""
    evil = "main.\x1b[31m\u202e<script>alert(1)</script>"
    text = (
        "goroutine {n} [chan receive, 9 minutes]:\n"
        + evil
        + "(0x1)\n\t/tmp/\x1b]0;x\x07<img>.go:7 +0x1d\ncreated by main.main\n\t/x.go:1\n\n"
    )
    dump = tmp_path / "dump.txt"
    dump.write_text("".join(text.format(n=n) for n in range(1, 80)))
    plain = run("diagnose", str(dump)).stdout.decode()
    page = run("diagnose", str(dump), "--format", "html").stdout.decode()
    assert "\x1b" not in plain + page
    assert "\u202e" not in plain + page
    assert "<script>alert" not in page
    found = json.loads(run("diagnose", str(dump), "--format", "json").stdout)
    assert found["inputs"][0]["records"] == 79


def test_secrets_are_redacted_unless_asked(tmp_path: Path) -> None:
    """Labels with personal data are redacted by default and counted; --no-redact shows them."""
    header = 'goroutine {n} [chan receive, 9 minutes]{{"user": "alice@example.com"}}:\n'
    block = header + "main.wait(0x1)\n\t/srv/main.go:7 +0x1d\ncreated by main.main\n\t/srv/main.go:1 +0x1\n\n"
    dump = tmp_path / "dump.txt"
    dump.write_text("".join(block.format(n=n) for n in range(1, 80)))
    hidden = run("diagnose", str(dump), "--format", "json").stdout.decode()
    assert "alice@" not in hidden
    assert json.loads(hidden)["redacted"] > 0
    assert "alice@example.com" in run("diagnose", str(dump), "--format", "json", "--no-redact").stdout.decode()
