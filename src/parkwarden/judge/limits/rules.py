"""What must hold between limits: each rule with its reason and where Go or the kernel says so (map row B6).

A rule looks at the facts and answers with breaches, none where it holds or where what it compares is not visible: what nobody told is no
breach. `breaks` is a contradiction that will hurt as it stands, `risk` one that may, `note` something to know.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from parkwarden.judge.limits.facts import GO_GOGC, Facts, Profile, Server, State
from parkwarden.judge.limits.needs import Need, What
from parkwarden.model.words import percent, size

FD_MARGIN = 0.1
"""Of the descriptors needed, on top: files opened for a moment, connections that wait to be closed, a second listener."""

GOMEMLIMIT_SHARE = 0.9
"""Of the group's limit: what Go does not count (the binary's pages, cgo, page cache that is dirty, child processes) needs the rest.
The Go GC guide asks for 5-10 % of headroom."""

GOMEMLIMIT_MOST = 0.95
"""Above this share of the group's limit the headroom is gone."""

GOMEMLIMIT_LEAST = 0.5
"""Below this share of the group's limit collections are paid for memory that nobody else may use."""

GC_ROOM = 0.8
"""Of GOMEMLIMIT that heap and stacks may fill at the end of a collection; beyond, Go collects again and again."""

THREADS_ROOM = 0.8
"""Of SetMaxThreads in use, from which the crash limit is near."""

USER_SHARE = 0.5
"""Of a process limit that others of the same user hold, from which it is theirs as much as the service's."""

STREAM_WRITE_S = 300.0
"""A WriteTimeout up to this cuts streams that people notice; longer ones are somebody's decision."""


class Severity(StrEnum):
    """How much a breach matters."""

    BREAKS = "breaks"
    RISK = "risk"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Breach:
    """A rule that does not hold: the sentence with the numbers, what to do, and the rule's name."""

    rule: str
    severity: Severity
    text: str
    advice: str


Check = Callable[["Asked"], Iterator[tuple[Severity, str, str]]]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a rule may look at."""

    facts: Facts
    profile: Profile
    needs: Mapping[What, Need]


@dataclass(frozen=True, slots=True)
class Rule:
    """`says` what must hold, `because` why, `source` who says so."""

    name: str
    says: str
    because: str
    source: str
    check: Check


def breaches(facts: Facts, profile: Profile, needs: Mapping[What, Need]) -> list[Breach]:
    """Every rule that does not hold, worst first, in the rules' order."""
    asked = Asked(facts, profile, needs)
    found = [Breach(rule.name, *one) for rule in RULES.values() for one in rule.check(asked)]
    return sorted(found, key=lambda one: list(Severity).index(one.severity))


def number(value: float, unit: str = "") -> str:
    """A limit in words: `2,048`, `1.5 GiB`, `none`; of processors and needs `0.5`."""
    if math.isinf(value):
        return "none"
    return size(value) if unit == "bytes" else f"{value:,.1f}".removesuffix(".0")


def _threads_below(asked: Asked) -> Iterator[tuple[Severity, str, str]]:
    facts = asked.facts
    room, own = facts.threads_limit(), facts.value("go-max-threads")
    if room is None or own is None or own <= room[1]:
        return
    name, left = room
    others = (facts.limit(name) or 0.0) - left
    beside = f", of which {others:,.0f} are held by others" if others else ""
    unseen = "" if facts.seen("go-max-threads") else " (Go's default, unless the program sets it)"
    yield (
        Severity.BREAKS if facts.seen("go-max-threads") else Severity.RISK,
        f"SetMaxThreads is {own:,.0f}{unseen}, but the kernel refuses threads beyond {name} {facts.limit(name):,.0f}{beside}: the process "
        "then dies of the kernel's refusal, before Go's own limit and message",
        f"debug.SetMaxThreads({min(asked.profile.max_threads, int(max(left, 1.0) * 0.75)):d}) or lower, or raise {name}",
    )


def _threads_room(asked: Asked) -> Iterator[tuple[Severity, str, str]]:
    own, used = asked.facts.value("go-max-threads"), asked.facts.now.threads
    if own is not None and used is not None and used >= THREADS_ROOM * own:
        yield (
            Severity.BREAKS,
            f"{used:,} threads of {own:,.0f} that Go allows: the process ends itself at the next crowd in system calls",
            "bound the blocking calls (a semaphore); raising SetMaxThreads only moves the crash",
        )


def _crash_limit(asked: Asked) -> Iterator[tuple[Severity, str, str]]:
    own = asked.facts.value("go-max-threads")
    if own is not None and asked.facts.seen("go-max-threads"):
        yield (
            Severity.NOTE,
            f"SetMaxThreads({own:,.0f}) is a crash limit, no protection: the process that reaches it dies with all its requests",
            "bound what blocks threads (file and DNS calls, cgo) with a semaphore well below it",
        )


def _root(asked: Asked) -> Iterator[tuple[Severity, str, str]]:
    limit, machine = asked.facts.limit("process-limit"), asked.facts.limit("threads-system")
    untouched = (
        limit is not None and machine is not None and limit == machine // 2
    )  # kernel/fork.c: fork_init; nobody relies on it
    if asked.facts.root and limit is not None and not untouched:
        unbound = asked.facts.limit("pids-limit") is None
        yield (
            Severity.RISK if unbound else Severity.NOTE,
            f"the process limit of {limit:,.0f} does not bind root: the kernel does not ask it",
            "run as another user, or set pids.max (TasksMax, the pod's pid limit), which binds root too",
        )


def _user_wide(asked: Asked) -> Iterator[tuple[Severity, str, str]]:
    facts = asked.facts
    limit, everybody = facts.limit("process-limit"), facts.now.user_threads
    if limit is None or facts.root or everybody is None or facts.now.threads is None:
        return
    others = max(everybody - facts.now.threads, 0)
    if others > USER_SHARE * limit:
        yield (
            Severity.RISK,
            f"ulimit -u counts the whole user: {others:,} of {limit:,.0f} are held by other processes of that user",
            "a user of its own for the service, or pids.max (TasksMax), which counts the service alone",
        )


def _dead_letter(asked: Asked) -> Iterator[tuple[Severity, str, str]]:
    facts = asked.facts
    process, pids = facts.limit("process-limit"), facts.limit("pids-limit")
    if process is not None and pids is not None and not facts.root and pids < process:
        yield (
            Severity.NOTE,
            f"pids.max {pids:,.0f} is below the process limit {process:,.0f}: the group's is the one in force",
            "set both alike (LimitNPROC, TasksMax), or only pids.max",
        )


def _descriptors(asked: Asked) -> Iterator[tuple[Severity, str, str]]:
    limit, load, need = asked.facts.limit("fd-limit"), asked.facts.load, asked.needs.get(What.DESCRIPTORS)
    if limit is None or load is None or need is None:
        return
    wanted = need.at(load) * (1 + FD_MARGIN)
    if wanted > limit:
        yield (
            Severity.BREAKS if need.at(load) > limit else Severity.RISK,
            f"{load:,} concurrent requests take {need.at(load):,.0f} descriptors ({number(need.each)} each, {need.text}) and "
            f"{percent(FD_MARGIN)} of room; ulimit -n is {limit:,.0f}",
            f"ulimit -n of {round_up(wanted):,} or more",
        )


def _soft_is_hard(asked: Asked) -> Iterator[tuple[Severity, str, str]]:
    facts = asked.facts
    soft, hard = facts.value("fd-limit"), facts.value("fd-limit-hard")
    if soft is None or hard is None or facts.go is None or soft >= hard - 1:
        return
    if facts.go >= (1, 19):
        yield (
            Severity.NOTE,
            f"ulimit -n is {number(soft)} though {number(hard)} are allowed: Go raises it at its start, so the program or prlimit lowered it again",
            "leave RLIMIT_NOFILE to Go, and set the hard limit",
        )
    else:
        yield (
            Severity.RISK,
            f"ulimit -n is {number(soft)} though {number(hard)} are allowed: Go {facts.go[0]}.{facts.go[1]} does not raise it (1.19 and later do)",
            "raise the soft limit where the service is started (LimitNOFILE), or build with a newer Go",
        )


def _memory_told(asked: Asked) -> Iterator[tuple[Severity, str, str]]:
    facts = asked.facts
    limit, go = facts.limit("memory-limit"), facts.value("gomemlimit")
    if limit is None or go is None or math.isfinite(go) or (facts.go is not None and facts.go < (1, 19)):
        return
    yield (
        Severity.RISK,
        f"the group may use {number(limit, 'bytes')}, but no GOMEMLIMIT tells Go: it lets the heap grow by GOGC as if there were no limit",
        f"GOMEMLIMIT={mebibytes(limit * GOMEMLIMIT_SHARE)}, {percent(GOMEMLIMIT_SHARE)} of the limit",
    )


def _memory_below(asked: Asked) -> Iterator[tuple[Severity, str, str]]:
    limit, go = asked.facts.limit("memory-limit"), asked.facts.limit("gomemlimit")
    if limit is None or go is None:
        return
    share, words = go / limit, f"GOMEMLIMIT {number(go, 'bytes')}, the group's limit {number(limit, 'bytes')}"
    advice = f"GOMEMLIMIT={mebibytes(limit * GOMEMLIMIT_SHARE)}, {percent(GOMEMLIMIT_SHARE)} of the limit"
    if share > 1:
        yield Severity.BREAKS, f"{words}: the kernel kills before Go even notices", advice
    elif share > GOMEMLIMIT_MOST:
        yield Severity.RISK, f"{words}: {percent(1 - share)} are left for what Go does not count", advice
    elif share < GOMEMLIMIT_LEAST:
        yield Severity.NOTE, f"{words}: Go collects early for memory that nobody else may use", advice


def _address_space(asked: Asked) -> Iterator[tuple[Severity, str, str]]:
    limit, mapped = asked.facts.limit("address-space"), asked.facts.now.address_space
    if limit is not None:
        now = f", {number(mapped, 'bytes')} of it mapped now" if mapped is not None else ""
        yield (
            Severity.RISK,
            f"ulimit -v is {number(limit, 'bytes')}{now}: it counts what Go reserves and never touches, and GOMEMLIMIT does not see it",
            "no ulimit -v; a memory cgroup (MemoryMax) counts what is used",
        )


def _memory_live(asked: Asked) -> Iterator[tuple[Severity, str, str]]:
    go, heap = asked.facts.limit("gomemlimit"), asked.facts.now.heap
    if go is not None and heap is not None and heap > GC_ROOM * go:
        yield (
            Severity.RISK,
            f"heap and stacks hold {number(heap, 'bytes')} of a GOMEMLIMIT of {number(go, 'bytes')}: Go collects again and again, with up to half of "
            "the processors",
            "raise the memory limit and GOMEMLIMIT with it, or find what holds the heap (parkwarden diagnose)",
        )


def _gogc_off(asked: Asked) -> Iterator[tuple[Severity, str, str]]:
    gogc, go = asked.facts.value("gogc"), asked.facts.value("gomemlimit")
    if gogc is not None and math.isinf(gogc) and go is not None and math.isinf(go):
        yield (
            Severity.BREAKS,
            "GOGC=off without a GOMEMLIMIT: nothing is ever collected, and the process grows until it is killed",
            f"GOMEMLIMIT, or GOGC={GO_GOGC}",
        )


def _next_gc(asked: Asked) -> Iterator[tuple[Severity, str, str]]:
    limit, goal = asked.facts.limit("memory-limit"), asked.facts.now.next_gc
    if limit is not None and goal is not None and goal > limit and goal < 1 << 60:
        yield (
            Severity.BREAKS,
            f"the next collection is due at a heap of {number(goal, 'bytes')}, above the group's limit of {number(limit, 'bytes')}: the kernel kills first",
            f"GOMEMLIMIT={mebibytes(limit * GOMEMLIMIT_SHARE)}, which lowers that goal",
        )


def _procs(asked: Asked) -> Iterator[tuple[Severity, str, str]]:
    facts = asked.facts
    procs, cpus = facts.limit("gomaxprocs"), facts.limit("cpus")
    if procs is None or cpus is None or procs <= most_procs(cpus):
        return
    old = facts.go is not None and facts.go < (1, 25)
    why = (
        f"Go {facts.go[0]}.{facts.go[1]} does not see the quota (1.25 and later do)"
        if old and facts.go
        else "it was set by hand, or the quota by weight"
    )
    yield (
        Severity.RISK,
        f"GOMAXPROCS is {procs:,.0f}, the group may use {number(cpus)} processors: {why}, and the group is throttled for what is left of each 100 ms",
        "leave GOMAXPROCS unset with Go 1.25 or later, or set it to the quota",
    )


def _header(asked: Asked) -> Iterator[tuple[Severity, str, str]]:
    for server in asked.facts.servers:
        if server.header_in_force_s == 0:
            yield (
                Severity.RISK,
                f"{server.where}: no ReadHeaderTimeout and no ReadTimeout: who connects and sends nothing holds a descriptor and a goroutine for ever",
                f"ReadHeaderTimeout: {min(asked.profile.timeout_s, 10):g} * time.Second",
            )


def _idle(asked: Asked) -> Iterator[tuple[Severity, str, str]]:
    peer = asked.facts.peer_keepalive_s
    for server in asked.facts.servers:
        idle = server.idle_in_force_s
        if idle == 0:
            yield (
                Severity.RISK,
                f"{server.where}: no IdleTimeout and no ReadTimeout: idle keep-alive connections are never closed from this side",
                f"IdleTimeout: {idle_s(asked.profile, peer):g} * time.Second",
            )
        elif idle is not None and peer is not None and idle <= peer:
            yield (
                Severity.BREAKS,
                f"{server.where}: idle connections are closed after {idle:g} s, but whoever calls keeps them for {peer:g} s: it sends into connections that "
                "are being closed, and sees resets (502)",
                f"IdleTimeout: {idle_s(asked.profile, peer):g} * time.Second, longer than the caller's",
            )


def _read(asked: Asked) -> Iterator[tuple[Severity, str, str]]:
    for server in asked.facts.servers:
        if server.read_s is not None and server.read_s <= 0 and not asked.profile.streaming:
            yield (
                Severity.RISK,
                f"{server.where}: ReadTimeout 0 is never: a client that stops in the middle of its body holds the request for ever",
                f"ReadTimeout: {asked.profile.timeout_s:g} * time.Second",
            )


def _write(asked: Asked) -> Iterator[tuple[Severity, str, str]]:
    profile = asked.profile
    for server in asked.facts.servers:
        if server.write_s is None:
            continue
        if profile.streaming and 0 < server.write_s <= STREAM_WRITE_S:
            yield (
                Severity.BREAKS,
                f"{server.where}: WriteTimeout {server.write_s:g} s bounds the whole answer: every stream is cut after {server.write_s:g} s",
                f"WriteTimeout: 0, and SetWriteDeadline {profile.timeout_s:g} s ahead before each write (http.ResponseController)",
            )
        elif profile.streaming and server.write_s <= 0:
            yield (
                Severity.NOTE,
                f"{server.where}: WriteTimeout 0 is right for streams, but then each write needs its own deadline, or a client that stops reading holds its "
                "handler for ever",
                f"http.NewResponseController(w).SetWriteDeadline {profile.timeout_s:g} s ahead before each write",
            )
        elif not profile.streaming and server.write_s <= 0:
            yield (
                Severity.RISK,
                f"{server.where}: WriteTimeout 0 is never: a client that stops reading holds its handler, goroutine and descriptor for ever",
                f"WriteTimeout: {profile.timeout_s:g} * time.Second",
            )


def _deadlines(asked: Asked) -> Iterator[tuple[Severity, str, str]]:
    if asked.facts.stalled:
        yield (
            Severity.RISK,
            f"{asked.facts.stalled:,} goroutines have waited a minute or longer for a connection's bytes: no deadline is in force there",
            "deadlines on both sides: the server's timeouts, http.Client.Timeout or a context, net.Conn.SetDeadline (parkwarden diagnose names the lines)",
        )


def round_up(value: float, least: int = 1024) -> int:
    """The next power of two, as limits are usually given; at least 1,024."""
    return max(least, 1 << max(math.ceil(value) - 1, 0).bit_length())


def mebibytes(value: float) -> str:
    """As GOMEMLIMIT is written: `922MiB`, rounded down; below 1 MiB in bytes."""
    return f"{int(value) >> 20}MiB" if value >= 1 << 20 else f"{int(value)}B"


def most_procs(cpus: float) -> int:
    """GOMAXPROCS that Go 1.25 and later choose for a CPU quota (runtime/cgroup_linux.go: adjustCgroupGOMAXPROCS): up, and at least 2."""
    return max(math.ceil(cpus), 2)


KEEPALIVE_MARGIN_S = 5.0
"""Seconds an idle connection is kept longer than the caller keeps it, so that it is always the caller who closes."""


def idle_s(profile: Profile, peer_keepalive_s: float | None) -> float:
    """The idle timeout for a profile: its own, or longer than the caller's."""
    return max(profile.timeout_s, (peer_keepalive_s or 0.0) + KEEPALIVE_MARGIN_S if peer_keepalive_s else 0.0)


def _rules(*rules: Rule) -> dict[str, Rule]:
    return {rule.name: rule for rule in rules}


RULES: Mapping[str, Rule] = _rules(
    Rule(
        "threads-below-kernel", "SetMaxThreads fits into what the kernel allows, beside everybody else who counts there",
        "else clone fails first (EAGAIN, tried 20 times), and Go throws newosproc instead of naming its own limit",
        "runtime/os_linux.go: newosproc; runtime/proc.go: checkmcount; kernel/fork.c: copy_process", _threads_below,
    ),
    Rule(
        "threads-near-crash", "threads stay below 80 % of SetMaxThreads", "Go gives no thread back, so what is used once stays used",
        "runtime/proc.go: checkmcount", _threads_room,
    ),
    Rule(
        "crash-limit", "SetMaxThreads is known as what it is", 'it "takes down the program before it takes down the operating system"',
        "runtime/debug/garbage.go: SetMaxThreads", _crash_limit,
    ),
    Rule(
        "root-unbound", "whoever relies on ulimit -u does not run as root", "the kernel asks RLIMIT_NPROC of nobody with CAP_SYS_RESOURCE or as INIT_USER",
        "kernel/fork.c: copy_process", _root,
    ),
    Rule(
        "user-wide", "ulimit -u is mostly the service's own", "it counts all processes and threads of the user, in all containers of one user namespace",
        "getrlimit(2): RLIMIT_NPROC", _user_wide,
    ),
    Rule(
        "dead-letter", "the process limit is not above pids.max", "the lower of the two is in force, the other misleads",
        "kernel/cgroup/pids.c", _dead_letter,
    ),
    Rule(
        "descriptors-hold-load", "ulimit -n holds the load's descriptors and a tenth more",
        "each connection is one, each pipe of a child one, and at the limit accept itself fails",
        "net/http/server.go: Serve (retries EMFILE); os/exec (three pipes); runtime/netpoll_epoll.go (epoll, eventfd)", _descriptors,
    ),
    Rule(
        "soft-is-hard", "the soft limit of descriptors is the hard one",
        "Go 1.19 and later raise it at their start (to one less from 1.24 on) and give children the old one back",
        "syscall/rlimit.go: init; syscall/exec_linux.go: forkAndExecInChild1", _soft_is_hard,
    ),
    Rule(
        "memory-told", "a group with a memory limit has a GOMEMLIMIT", "Go asks no control group for memory; only GOMEMLIMIT makes it collect in time",
        "runtime/debug/garbage.go: SetMemoryLimit", _memory_told,
    ),
    Rule(
        "memory-below", "GOMEMLIMIT is 50-95 % of the group's limit, 90 % by default", "it counts what the runtime holds, and not binary, cgo and children",
        "runtime/debug/garbage.go: SetMemoryLimit; go.dev/doc/gc-guide", _memory_below,
    ),
    Rule(
        "address-space", "no limit on address space", "Go reserves arenas, bitmaps and stacks long before it uses them",
        "runtime/malloc.go: sysReserve; getrlimit(2): RLIMIT_AS", _address_space,
    ),
    Rule(
        "memory-live", "heap and stacks leave GOMEMLIMIT room", "a soft limit below what lives makes the collector run all the time",
        "runtime/mgclimit.go", _memory_live,
    ),
    Rule(
        "gogc-off", "GOGC=off only with a GOMEMLIMIT", "the limit is then the only thing that ever starts a collection",
        "runtime/mgcpacer.go: heapGoalInternal", _gogc_off,
    ),
    Rule(
        "next-gc", "the next collection comes before the kernel's limit", "a heap that may double doubles past it", "runtime/mgcpacer.go", _next_gc,
    ),
    Rule(
        "procs-in-quota", "GOMAXPROCS is no more than the CPU quota, rounded up, and 2",
        "more threads than quota use it up early in each period, and then all of them stand still",
        "runtime/cgroup_linux.go: adjustCgroupGOMAXPROCS (Go 1.25)", _procs,
    ),
    Rule(
        "header-timeout", "a header must come in time", "0 is never", "net/http/server.go: Server.readHeaderTimeout", _header,
    ),
    Rule(
        "idle-timeout", "idle connections end, later than the caller ends them", "0 is never; who closes first while the other sends makes a reset",
        "net/http/server.go: Server.idleTimeout", _idle,
    ),
    Rule("read-timeout", "a body must come in time", "0 is never", "net/http/server.go: Server.ReadTimeout", _read),
    Rule(
        "write-timeout", "answers end in time, streams by write", "WriteTimeout runs from the end of the header to the end of the answer",
        "net/http/server.go: conn.readRequest; net/http/responsecontroller.go: SetWriteDeadline", _write,
    ),
    Rule(
        "deadline-in-force", "nobody waits minutes for a connection's bytes", "an IO wait of minutes is a read or write without a deadline",
        "runtime/netpoll.go", _deadlines,
    ),
)  # fmt: skip
"""Every rule by name, in the order they are told."""

__all__ = [
    "FD_MARGIN",
    "GOMEMLIMIT_SHARE",
    "RULES",
    "Asked",
    "Breach",
    "Rule",
    "Server",
    "Severity",
    "State",
    "breaches",
    "idle_s",
    "mebibytes",
    "most_procs",
    "number",
    "round_up",
]
