"""A /proc of files and links, as the kernel would show it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

PID = 4242
HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
LIMITS = """Limit                     Soft Limit           Hard Limit           Units
Max cpu time              unlimited            unlimited            seconds
Max processes             4096                 8192                 processes
Max open files            1024                 524288               files
Max address space         unlimited            unlimited            bytes
"""


def stat(name: str = "media", ticks: int = 12_300) -> str:
    return f"{PID} ({name}) S 1 {PID} {PID} 0 -1 4194560 " + " ".join(["0"] * 12) + f" {ticks} 1 2 3\n"


def row(inode: int, local: str, remote: str, state: str) -> str:
    return f"   0: {local} {remote} {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1 0000 100 0 0 10 0\n"


def grow(root: Path, fds: Mapping[int, str] | None = None, files: Mapping[str, str] | None = None) -> str:
    """Make the tree; `files` are texts by path below it (their folders are made), which replace the usual ones."""
    texts = {
        "self/stat": stat("us"),
        "self/mountinfo": "",
        "stat": "cpu 1 2 3\nbtime 1700000000\n",
        "sys/kernel/threads-max": "30000\n",
        f"{PID}/stat": stat(),
        f"{PID}/limits": LIMITS,
        f"{PID}/status": "Name:\tmedia\nVmRSS:\t   2048 kB\nThreads:\t17\n",
        f"{PID}/cgroup": "",
        f"{PID}/net/tcp": HEADER,
        **(files or {}),
    }
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    folder = root / str(PID) / "fd"
    folder.mkdir(exist_ok=True)
    for number, target in (fds or {}).items():
        (folder / str(number)).symlink_to(target)
    (root / str(PID) / "ns").mkdir(exist_ok=True)
    (root / str(PID) / "ns" / "net").symlink_to("net:[1]")
    return str(root)
