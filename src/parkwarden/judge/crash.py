"""Why a process died: crash logs and the kernel's own lines, judged.

Input: `Artefact.crashes`. A cause the log states is certain, so its verdict is `leak` (the schema's word for "found, act on
it"); a signal somebody sent is only told. Recursion is named by its cycle. Sources: runtime/stack.go (stack overflow),
runtime/malloc.go (out of memory), runtime/proc.go (deadlock, thread limit), internal/runtime/maps (concurrent access), mm/oom_kill.c.
"""

from __future__ import annotations

from parkwarden.model import Artefact, Case, Crash, Evidence, Finding, Frame, Site, Stack, Verdict
from parkwarden.stacks.culprit import culprit as culprit_of
from parkwarden.stacks.normalise import site_of

MAX_FINDINGS = 20
"""Crashes reported of one bag; a log of a crash loop repeats itself."""

CYCLE_NAMED = 6
"""Functions of a recursion named in the title; the rest is in the frames."""

CODE_BY_CAUSE = {
    "stack-overflow": "PW201",
    "out-of-memory": "PW202",
    "concurrent-map": "PW203",
    "deadlock": "PW204",
    "thread-limit": "PW205",
    "nil-dereference": "PW206",
    "panic": "PW207",
    "fatal-error": "PW208",
    "signal": "PW209",
    "oom-kill": "PW210",
}

ADVICE = {
    "stack-overflow": "Break the cycle: the functions named call each other without an end. A logger or reporter must never "
    "report its own failure through itself; guard it with a flag or write such failures to stderr, counted.",
    "out-of-memory": "Look at what retains memory (a heap profile taken before the end) and at goroutine growth; set GOMEMLIMIT "
    "below the real limit so that the collector works before the kernel does.",
    "concurrent-map": "Guard the map with a mutex or use sync.Map; the stack shows one of the two sides, the race detector "
    "(go test -race) shows both.",
    "deadlock": "Every goroutine waited for another one. Look at the first ones in the dump: which channel or lock was to be "
    "served by a goroutine that has ended?",
    "thread-limit": "Each goroutine in a blocking system call holds a thread. Find the crowd in syscall state, bound it with a "
    "semaphore, or use calls the netpoller can wait for. SetMaxThreads is a crash limit, no protection.",
    "nil-dereference": "The first line of your own code in the stack used a nil pointer; look at what it was given.",
    "panic": "The first line of your own code in the stack shows where; decide whether it may recover.",
    "fatal-error": "The runtime stopped itself; its message says why. The stack shows where.",
    "signal": "Somebody sent this signal (SIGQUIT prints all goroutines and ends the process). It is no fault by itself.",
    "oom-kill": "The kernel killed the process for memory. A heap and goroutine profile from before the kill names what grew; "
    "set GOMEMLIMIT to about 90 % of the limit.",
}

ASKED_FOR = frozenset({"signal"})
"""Ends that somebody asked for: told, not accused."""


def fatal(crash: Crash) -> bool:
    """Whether the process died of it: a signal was asked for, and a panic that was recovered killed nobody."""
    return crash.cause not in ASKED_FOR and "recovered_by" not in crash.details


def judge(case: Case) -> list[Finding]:
    """One finding per crash, the same crash in a loop told once with its number of times."""
    seen: dict[tuple[str, str, str], Finding] = {}
    for artefact in case.artefacts:
        for crash in artefact.crashes:
            culprit = _culprit(crash, case)
            key = (crash.cause, crash.message, str(culprit))
            if key in seen:
                seen[key].count = (seen[key].count or 1) + 1
            elif len(seen) < MAX_FINDINGS:
                seen[key] = _finding(artefact, crash, culprit)
    return list(seen.values())


def _culprit(crash: Crash, case: Case) -> Frame | None:
    frames = crash.cycle or (crash.stack.frames if crash.stack else ())
    return culprit_of(Stack(frames), case.user_modules)


def _finding(artefact: Artefact, crash: Crash, culprit: Frame | None) -> Finding:
    evidence = [Evidence(artefact.name, "message", crash.message)]
    evidence += [Evidence(artefact.name, what, value) for what, value in sorted(crash.details.items())]
    if crash.goid is not None:
        evidence.append(Evidence(artefact.name, "goroutine", str(crash.goid)))
    if crash.cycle:
        evidence.append(
            Evidence(artefact.name, "cycle", f"{len(crash.cycle)} functions, {crash.rounds} rounds in the frames shown")
        )
    return Finding(
        code=CODE_BY_CAUSE.get(crash.cause, "PW208"),
        verdict=Verdict.LEAK if fatal(crash) else Verdict.OK,
        confidence=1.0 if fatal(crash) else 0.5,
        title=_title(crash),
        pattern=crash.cause,
        site=_site(crash),
        culprit=culprit,
        count=1,
        advice=ADVICE.get(crash.cause, ADVICE["fatal-error"]),
        evidence=evidence,
        path=tuple(reversed(crash.cycle)) if crash.cycle else (),
    )


def _site(crash: Crash) -> Site | None:
    if crash.stack is None or not crash.stack.frames:
        return None
    return site_of(crash.stack, "running")


def _title(crash: Crash) -> str:
    if crash.cycle:
        # Go prints the innermost call first; a person reads a cycle in calling order
        names = [f.function for f in reversed(crash.cycle)]
        shown = names[:CYCLE_NAMED] + (["..."] if len(names) > CYCLE_NAMED else [])
        return f"stack overflow by endless recursion: {' -> '.join([*shown, names[0]])}"
    return f"{crash.cause.replace('-', ' ')}: {crash.message}"
