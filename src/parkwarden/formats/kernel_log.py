"""Kernel and orchestrator logs: who was killed for memory, and under which limit.

Input: bytes of dmesg, journald or syslog text, `kubectl describe / get / events`, pod status as JSON or YAML, `docker inspect`.
Back come `Crash`es with cause `oom-kill` (or `signal` for a bare exit code 137, which only says SIGKILL); details: pid, comm, uid,
rss_bytes, total_vm_bytes, cgroup, limit_bytes, usage_bytes, scope, invoked_by, container, pod, exit_code, restarts - those told.
Limits: MAX_KILLS, MAX_LINES, MAX_LINE. Nothing raises.

Sources: mm/oom_kill.c: dump_header, dump_oom_victim, oom_kill_process (Linux 2.6.32-6.12), mm/memcontrol.c:
mem_cgroup_print_oom_meminfo; kubelet's container status (`reason: OOMKilled`), oomWatcher (`System OOM encountered`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from parkwarden.formats._text import clean
from parkwarden.model.artefact import Artefact, Crash, Kind, Problem

MAX_KILLS = 200
"""Kills told of one text: a log of a crash loop repeats itself."""

MAX_LINES = 20_000
"""Lines with a telling word that are looked at."""

MAX_LINE = 4_096
"""Bytes of a line looked at: the kernel's own lines are below 1 kB (LOG_LINE_MAX)."""

AROUND_BEFORE = 4_000
"""Bytes before `OOMKilled` searched for the container's and pod's names in `kubectl describe`."""

AROUND_AFTER = 2_000
"""Bytes after it searched for the exit code, restarts and limit."""

NEAR = 400
"""Bytes around a telling word of an orchestrator, on its line: pod names have up to 253."""

MAX_MESSAGE = 500
"""Characters of a message kept."""

_NEEDLES = (b"oom-kill", b"Killed process ", b"Kill process ", b"System OOM encountered")
_CONTEXT = (b"memory: usage ", b"Task in /")  # tell only together with one of the above
_ENDS = (b"OOMKilled", b"xit Code:", b"xitCode")

_INVOKED = " invoked oom-killer: "
_USAGE = re.compile(r"memory: usage (\d+)kB, limit (\d+)kB")
_TASK_IN = re.compile(r"Task in (/\S*) killed as a result of limit of (/\S*)")
_SUMMARY = re.compile(r"oom-kill:constraint=(\w+),(.*)")
_KILLED = re.compile(
    r"(?:(?P<scope>Memory cgroup out of memory|Out of memory)[^:]{0,60}: )?Kill(?P<done>ed)? process (?P<pid>\d{1,10}),?"
    r"(?: UID (?P<uid0>\d+),)? ?\((?P<comm>.{0,40})\)(?P<rest>(?:,? (?:total-vm|score|vm).*)?$)"
)
_AMOUNT = re.compile(r"(total-vm|anon-rss|file-rss|shmem-rss):(\d{1,15})kB")
_UID = re.compile(r"UID:(\d+)")
_SYSTEM_OOM = re.compile(r"System OOM encountered, victim process: (\S+), pid: (\d+)")
_REASON = re.compile(
    rb'(?:[Rr]eason"?:\s*"?OOMKilled|"OOMKilled":\s*true|OOMKilled=true|^\S+[ \t]+(?:\S+[ \t]+)?\d+/\d+[ \t]+OOMKilled\b)',
    re.M,
)
_EXIT_137 = re.compile(rb'(?:Exit Code:\s*|exitCode"?:\s*|ExitCode"?:\s*)137\b')
_EXIT = re.compile(rb'(?:Exit Code:\s*|[eE]xitCode"?:\s*)(\d{1,4})')
_RESTARTS = re.compile(rb'(?:Restart Count:\s*|[rR]estartCount"?:\s*)(\d{1,9})')
_LIMIT = re.compile(rb'(?:Limits:|limits"?:)[^}]{0,200}?memory"?:\s*"?([0-9.]+(?:[EPTGMk]i?|m)?)\b', re.S)
_CONTAINER = re.compile(rb"^ {2}([A-Za-z0-9][A-Za-z0-9.-]{0,62}):\s*$", re.M)
_JSON_NAME = re.compile(rb'"?\bname"?:\s*"?([A-Za-z0-9][A-Za-z0-9.-]{0,62})')
_POD = re.compile(rb"^Name:\s+(\S{1,253})", re.M)
_ROW = re.compile(rb"^(?:\S+[ \t]+)?(\S+)[ \t]+\d+/\d+[ \t]+OOMKilled[ \t]+(\d+)")

_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}
_BINARY = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "Pi": 1 << 50, "Ei": 1 << 60, "ki": 1 << 10}


def sniff(head: bytes) -> bool:
    """Whether these bytes tell of a kill for memory."""
    return bool(kills(head))


def read(data: bytes, name: str = "") -> Artefact:
    """All kills of one text as an Artefact of kind KERNEL_LOG; none is a Problem, not an error."""
    found = kills(data)
    problems = [] if found else [Problem("no-kill", "", "no process was killed for memory in this log")]
    return Artefact(
        name=name, kind=Kind.KERNEL_LOG, size=len(data), records=len(found), problems=problems, crashes=found
    )


def kills(data: bytes) -> list[Crash]:
    """Processes killed for memory, in the order of the text; the several lines the kernel writes about one kill are one Crash."""
    found = _kernel_kills(data) if any(needle in data for needle in _NEEDLES) else []
    if any(needle in data for needle in _ENDS):
        found += _orchestrator_kills(data, found)
    return found[:MAX_KILLS]


def _lines(data: bytes) -> list[tuple[int, str]]:
    """(offset, cleaned line) of the lines that hold a needle, in order, at most MAX_LINES."""
    starts: set[int] = set()
    for needle in (*_NEEDLES, *_CONTEXT):
        at = data.find(needle)
        while at >= 0 and len(starts) < MAX_LINES:
            starts.add(data.rfind(b"\n", 0, at) + 1)
            end = data.find(b"\n", at)
            at = data.find(needle, end) if end >= 0 else -1
    lines = []
    for start in sorted(starts):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        lines.append((start, clean(data[start : min(end, start + MAX_LINE)])))
    return lines


def _kernel_kills(data: bytes) -> list[Crash]:
    kills: list[Crash] = []
    context: dict[str, str] = {}
    by_pid: dict[str, Crash] = {}
    line_no, line_at = 1, 0
    for offset, line in _lines(data):
        if len(kills) >= MAX_KILLS:
            break
        line_no += data.count(b"\n", line_at, offset)
        line_at = offset
        if (at := line.find(_INVOKED)) > 0:
            # one report begins; a new one about a pid seen before is another kill
            context = {"invoked_by": line[:at].split("kernel: ")[-1].split("] ")[-1].strip()[-15:]}
            by_pid = {}
        elif match := _USAGE.search(line):
            context |= {"usage_bytes": _kb(match[1]), "limit_bytes": _kb(match[2])}
        elif match := _TASK_IN.search(line):
            context |= {"cgroup": match[1], "limited_cgroup": match[2]}
        elif match := _SUMMARY.search(line):
            context |= _summary(match)
            if "pid" in context:
                crash = by_pid.get(context["pid"]) or _new(kills, by_pid, context["pid"], match[0], line_no)
                crash.details.update(context)
        elif match := _KILLED.search(line):
            crash = by_pid.get(match["pid"]) or _new(kills, by_pid, match["pid"], match[0], line_no)
            _told_by_kernel(crash, match, context)
            if match["done"]:
                by_pid.pop(match["pid"], None)
                context = {}
        elif match := _SYSTEM_OOM.search(line):
            crash = by_pid.get(match[2]) or _new(kills, by_pid, match[2], match[0], line_no)
            crash.details.update({"comm": match[1], "pid": match[2], "scope": "machine"})
    return [_final(crash) for crash in kills]


def _new(kills: list[Crash], by_pid: dict[str, Crash], pid: str, message: str, line_no: int) -> Crash:
    crash = Crash(cause="oom-kill", message=message[:MAX_MESSAGE], where=f"line {line_no}", details={"pid": pid})
    kills.append(crash)
    by_pid[pid] = crash
    return crash


def _summary(match: re.Match[str]) -> dict[str, str]:
    """`oom-kill:constraint=CONSTRAINT_MEMCG,...,oom_memcg=/a,task_memcg=/a/b,task=comm,pid=1,uid=0` (Linux >= 5.0)."""
    told = {"scope": "cgroup" if match[1] == "CONSTRAINT_MEMCG" else "machine", "constraint": match[1]}
    text = "," + match[2]
    pid, uid = text.rfind(",pid="), text.rfind(",uid=")
    task = text.find(",task=")
    # a command's name may hold commas: what is known to stand around it delimits it
    if 0 <= task < pid:
        told["comm"] = text[task + len(",task=") : pid][:MAX_MESSAGE]
    if number := re.match(r"\d{1,10}", text[pid + len(",pid=") :]) if pid >= 0 else None:
        told["pid"] = number[0]
    if number := re.match(r"\d{1,10}", text[uid + len(",uid=") :]) if uid >= 0 else None:
        told["uid"] = number[0]
    for key, ours, following in (
        (",oom_memcg=", "limited_cgroup", ",task_memcg="),
        (",task_memcg=", "cgroup", ",task="),
    ):
        at = text.find(key)
        end = text.find(following, at)
        if 0 <= at < end:
            told[ours] = text[at + len(key) : end][:MAX_MESSAGE]
    return told


def _told_by_kernel(crash: Crash, match: re.Match[str], context: dict[str, str]) -> None:
    details = crash.details
    details.update({k: v for k, v in context.items() if k not in ("pid", "comm") or v == match["pid"]})
    details.update({"pid": match["pid"], "comm": match["comm"]})
    if match["scope"]:
        details["scope"] = "cgroup" if match["scope"].startswith("Memory cgroup") else "machine"
    uid = match["uid0"] or ((found := _UID.search(match["rest"])) and found[1])
    if uid:
        details["uid"] = uid
    amounts = {key: int(kb) * 1024 for key, kb in _AMOUNT.findall(match["rest"])}
    if "total-vm" in amounts:
        details["total_vm_bytes"] = str(amounts["total-vm"])
    if "anon-rss" in amounts:
        details["anon_rss_bytes"] = str(amounts["anon-rss"])
        details["rss_bytes"] = str(sum(v for k, v in amounts.items() if k != "total-vm"))


def _final(crash: Crash) -> Crash:
    """The message in words that are the same whatever kernel wrote it."""
    details = crash.details
    who = f"{details.get('comm', 'process')} (pid {details['pid']})"
    held = f" holding {_mib(details['rss_bytes'])}" if "rss_bytes" in details else ""
    limit = f", limit {_mib(details['limit_bytes'])}" if "limit_bytes" in details else ""
    what = "its cgroup's memory limit" if details.get("scope") == "cgroup" else "memory of the machine"
    message = f"the kernel killed {who}{held} for {what}{limit}"
    return Crash(cause="oom-kill", message=message[:MAX_MESSAGE], where=crash.where, details=details)


def _orchestrator_kills(data: bytes, already: list[Crash]) -> list[Crash]:
    found: list[Crash] = []
    for match in _at_words(data, b"OOMKilled", _REASON):
        if len(found) + len(already) >= MAX_KILLS:
            return found
        found.append(_container_kill(data, match))
    if found or already:
        return found
    for word in (b"xit Code:", b"xitCode"):
        for match in _at_words(data, word, _EXIT_137):
            details = {"exit_code": "137", "signal": "SIGKILL", **_names_around(data, match)}
            message = (
                "ended with exit code 137: killed by SIGKILL, by the kernel for memory or by whoever stops containers"
            )
            found.append(Crash(cause="signal", message=message, where=_line_of(data, match), details=details))
            if len(found) >= MAX_KILLS:
                return found
    return found


def _at_words(data: bytes, word: bytes, pattern: re.Pattern[bytes]) -> Iterator[re.Match[bytes]]:
    """Matches of `pattern` around `word` on its line, at most MAX_LINES of them."""
    at = data.find(word)
    for _ in range(MAX_LINES):
        if at < 0:
            return
        start = max(data.rfind(b"\n", 0, at) + 1, at - NEAR)
        end = data.find(b"\n", at, at + NEAR)
        if match := pattern.search(data, start, end if end >= 0 else at + NEAR):
            yield match
        at = data.find(word, at + len(word))


def _line_of(data: bytes, match: re.Match[bytes]) -> str:
    return f"line {data.count(bytes([10]), 0, match.start()) + 1}"


def _container_kill(data: bytes, match: re.Match[bytes]) -> Crash:
    details = {"scope": "cgroup", "reason": "OOMKilled", **_names_around(data, match)}
    line_start = data.rfind(b"\n", 0, match.end()) + 1
    if row := _ROW.match(data[line_start : line_start + MAX_LINE]):
        details["pod"], details["restarts"] = row[1].decode("utf-8", "replace"), row[2].decode()
    who = details.get("container") or details.get("pod") or "a container"
    limit = f" of {details['limit']}" if "limit" in details else ""
    where = _line_of(data, match)
    message = f"{who} was OOMKilled: it passed its memory limit{limit}"
    return Crash(cause="oom-kill", message=message[:MAX_MESSAGE], where=where, details=details)


def _names_around(data: bytes, match: re.Match[bytes]) -> dict[str, str]:
    """Names, limit and counts near a container's end, as `kubectl describe pod` or a status in JSON or YAML tells them."""
    before = data[max(0, match.start() - AROUND_BEFORE) : match.start()]
    after = data[match.start() : match.start() + AROUND_AFTER]
    found: dict[str, str] = {}
    containers = _CONTAINER.findall(before)
    if containers:
        found["container"] = containers[-1].decode()
        # the next container's numbers are not this one's
        if following := _CONTAINER.search(after):
            after = after[: following.start()]
    if pod := _POD.findall(before):
        found["pod"] = pod[-1].decode("utf-8", "replace")
    elif name := _JSON_NAME.search(after):
        found["container"] = name[1].decode()
    for key, pattern in (("exit_code", _EXIT), ("restarts", _RESTARTS), ("limit", _LIMIT)):
        # JSON has its keys in alphabetical order, exitCode before reason
        if value := pattern.search(after) or (pattern is _EXIT and pattern.search(before[-NEAR:])):
            found[key] = value[1].decode()
    if "limit" in found and (size := _quantity(found["limit"])) is not None:
        found["limit_bytes"] = str(size)
    return found


def _quantity(text: str) -> int | None:
    """A Kubernetes quantity (`512Mi`, `1.5G`) in bytes."""
    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,6})?)([EPTGMk]i?|)", text)
    if match is None:
        return None
    return int(float(match[1]) * (_BINARY.get(match[2]) or _UNITS.get(match[2], 1)))


def _kb(text: str) -> str:
    return str(int(text[:15]) * 1024)


def _mib(number: str) -> str:
    return f"{int(number) / (1 << 20):,.0f} MiB"
