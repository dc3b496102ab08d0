"""Kills for memory, from lines in the real formats (tests/data/kernel_log/README.md)."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.formats import kernel_log
from parkwarden.formats.kernel_log import kills, read, sniff
from parkwarden.model import Kind


def sample(data: Path, name: str) -> bytes:
    return (data / "kernel_log" / name).read_bytes()


def test_a_cgroup_kill_is_one_crash_with_all_it_tells(data: Path) -> None:
    """Report, usage, summary and kill are one death: who, how much it held, under which limit, in which cgroup."""
    (crash,) = kills(sample(data, "dmesg-memcg.txt"))
    assert crash.cause == "oom-kill"
    assert (
        crash.message
        == "the kernel killed transcoder (pid 412198) holding 504 MiB for its cgroup's memory limit, limit 512 MiB"
    )
    details = crash.details
    assert (details["pid"], details["comm"], details["uid"]) == ("412198", "transcoder", "1000")
    assert details["rss_bytes"] == str((512340 + 3344) * 1024)
    assert details["limit_bytes"] == details["usage_bytes"] == str(512 << 20)
    assert details["cgroup"].endswith("cri-containerd-8a4e.scope")
    assert details["invoked_by"] == "transcoder"


def test_a_machine_out_of_memory_and_names_with_brackets(data: Path) -> None:
    """A command may call itself `a,b) (c`; the victim is not who asked for memory."""
    shop, odd = kills(sample(data, "journald-global.txt"))
    assert (shop.details["comm"], shop.details["scope"], shop.details["invoked_by"]) == (
        "shop-api",
        "machine",
        "postgres",
    )
    assert "limit_bytes" not in shop.details
    assert (odd.details["comm"], odd.details["pid"]) == ("a,b) (c", "2977")
    assert odd.where == "line 9"


def test_old_kernels_write_two_lines(data: Path) -> None:
    """`Kill process` announces, `Killed process` tells the size: one death each; limits are not carried to the next."""
    ingest, gateway = kills(sample(data, "syslog-old.txt"))
    assert ingest.details["rss_bytes"] == str((10127036 + 1084) * 1024)
    assert "limit_bytes" not in ingest.details
    assert gateway.details["limit_bytes"] == str(256 << 20)
    assert gateway.details["cgroup"] == "/docker/77ab3"


def test_the_right_container_is_named(data: Path) -> None:
    """Its neighbour's limit and restarts stand in the same description."""
    (crash,) = kills(sample(data, "kubectl-describe.txt"))
    assert crash.message == "checkout was OOMKilled: it passed its memory limit of 512Mi"
    assert crash.details["restarts"] == "6"
    assert crash.details["exit_code"] == "137"
    assert crash.details["pod"] == "checkout-6f7c9d5b8-x2x7k"
    assert crash.details["limit_bytes"] == str(512 << 20)


def test_json_status(data: Path) -> None:
    """Keys come in alphabetical order: the exit code before the reason, the name after it."""
    (crash,) = kills(sample(data, "pod.json"))
    assert crash.details["container"] == "checkout"
    assert crash.details["exit_code"] == "137"


def test_rows_and_events(data: Path) -> None:
    """`kubectl get pods` names the pod, the node's event names the process."""
    event, row = kills(sample(data, "kubectl-get.txt"))
    assert (event.details["comm"], event.details["pid"]) == ("shop-api", "2211")
    assert row.details["pod"] == "checkout-6f7c9d5b8-x2x7k"


def test_exit_code_137_alone_is_only_a_signal(data: Path) -> None:
    """SIGKILL may come from the kernel or from whoever stops containers: it is told, not called a kill for memory."""
    (crash,) = kills(sample(data, "exit-137.txt"))
    assert crash.cause == "signal"
    assert crash.details["container"] == "worker"


@pytest.mark.parametrize("prefix", [b"", b"<4>", b"\x1b[33m", b"Nov 20 03:11:09 n kernel: [1.2] "])
def test_prefixes_do_not_matter(data: Path, prefix: bytes) -> None:
    """Each logger puts something else before the kernel's line."""
    line = b"Out of memory: Killed process 9 (svc) total-vm:10kB, anon-rss:4kB, file-rss:0kB, shmem-rss:0kB, UID:0"
    (crash,) = kills(prefix + line + b"\r\n")
    assert (crash.details["pid"], crash.details["comm"], crash.details["rss_bytes"]) == ("9", "svc", "4096")


def test_other_logs_tell_nothing() -> None:
    """Talk about memory kills nobody."""
    talk = b"we set a limit so that OOMKilled pods are rare\nexit code 137 means SIGKILL\nkilled process group\n"
    assert kills(talk) == []
    assert not sniff(talk)
    empty = read(talk, "talk")
    assert (empty.kind, [p.code for p in empty.problems]) == (Kind.KERNEL_LOG, ["no-kill"])


def test_repetition_is_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash loop's log ends at a named limit."""
    monkeypatch.setattr(kernel_log, "MAX_KILLS", 4)
    assert len(kills(b"Killed process 1 (a) total-vm:1kB\n" * 99)) == 4
    assert len(kills(b'"reason": "OOMKilled"\n' * 99)) == 4


@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                [
                    b"x invoked oom-killer: ", b"oom-kill:constraint=CONSTRAINT_MEMCG,task=a,pid=1,uid=0", b"Reason: OOMKilled",
                    b"Killed process 1 (a) total-vm:99999999999999999kB", b"memory: usage 1kB, limit 2kB", b"Exit Code: 137",
                    b"Task in /a killed as a result of limit of /b", b"Limits:\n  memory: 9999999999999999E",
                ]
            ),
            st.binary(max_size=30),
        ),
        max_size=30,
    )
)  # fmt: skip
def test_any_lines_are_survived(lines: list[bytes]) -> None:
    """Whatever the order, each kill has a cause and a place."""
    for crash in kills(b"\n".join(lines)):
        assert crash.cause in ("oom-kill", "signal")
        assert crash.where.startswith("line ")
