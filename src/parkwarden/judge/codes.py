"""All finding codes in one place: `parkwarden explain`, docs/findings.md and a test read them from here.

PW1xx goroutine leaks (one code per atlas pattern), PW2xx causes of death, PW3xx memory and threads, PW4xx load, PW5xx a fleet over time.
"""

from __future__ import annotations

from dataclasses import dataclass

from parkwarden.judge import crash
from parkwarden.stacks.patterns import PATTERNS


@dataclass(frozen=True, slots=True)
class Code:
    """A finding code: stable `code`, kebab-case `name` (the finding's `pattern`), a title and an explanation."""

    code: str
    name: str
    title: str
    text: str


_CRASHES = {
    "stack-overflow": "a goroutine's stack passed its limit, nearly always by endless recursion",
    "out-of-memory": "the runtime could not get memory from the operating system",
    "concurrent-map": "a map was used by two goroutines at once, one of them writing",
    "deadlock": "all goroutines were asleep, none could ever wake",
    "thread-limit": "the process passed its limit of operating-system threads",
    "nil-dereference": "a nil pointer was used",
    "panic": "a panic nobody recovered",
    "fatal-error": "the runtime stopped itself",
    "signal": "a signal ended the process; somebody asked for it",
    "oom-kill": "the kernel killed the process for memory",
}

_OTHERS = (
    Code(
        "PW100",
        "goroutine-leak",
        "goroutines that never leave one place, of no pattern the atlas knows",
        "The numbers accuse (proof by Go's leak profile, or growth with survivors), the shape is new. Look at the blocked line and at who "
        "should have served or ended the wait.",
    ),
    Code(
        "PW190",
        "library-multiplied",
        "goroutines of a well-known library in many times their usual number",
        "The library starts a fixed number of goroutines per process, client or connection. Many of them mean that many clients or "
        "connections were built and not closed: build one and share it, or close each.",
    ),
    Code(
        "PW301",
        "heap-retained",
        "one line of your code holds most of the heap",
        "Heap profiles know who allocated what is still in use. A single line holding most of a heap that is not small is where memory goes: "
        "find what keeps it reachable. One profile shows a share (suspect); growth between two proves more.",
    ),
    Code(
        "PW302",
        "many-threads",
        "far more operating-system threads than processors",
        "Every goroutine in a blocking system call (or C call) holds a thread, and threads are never given back. Go ends the process at "
        "10,000 of them. Find the crowd in syscall state and bound it.",
    ),
    Code(
        "PW401",
        "runnable-crowd",
        "many goroutines could run but find no processor: load, not a leak",
        "Runnable goroutines wait for a processor. When the load goes, they go. More processors, less work, or a limit on "
        "concurrency help; there is nothing to release.",
    ),
    Code(
        "PW402",
        "syscall-crowd",
        "many goroutines in system calls at one place",
        "A long system call looks like a leak and often is a slow disk, a slow peer without deadline, or a lock in the kernel. A suspicion, "
        "until a second look shows that they stay.",
    ),
    Code(
        "PW501",
        "goroutine-trend",
        "the number of goroutines rises fast and in a line",
        "Over the last two minutes the count spread by more than 30 (standard deviation) and rose by more than 5 a second, or it did so "
        "and stays up. A total cannot tell a leak from load, so this is a suspicion that starts closer looks: the site named beside it, its "
        "survivors and the leak profile say which line and whether it is a leak.",
    ),
    Code(
        "PW502",
        "heap-jump",
        "the heap grew by a third and by megabytes between two samples",
        "At least 30 % and more than 2 MiB between two samples, and still up. Before the next collection it may be garbage; after it, "
        "something holds the memory: take two heap profiles and compare them.",
    ),
    Code(
        "PW503",
        "gc-pressure",
        "the garbage collector takes more than 15 % of the CPU",
        "At least one collection ran and the collector took more than 0.15 of the CPU time of the last two minutes. Leaked goroutines keep "
        "their stacks and all that hangs on them alive, and each collection walks it. By itself it may as well be honest allocation: "
        "look at the allocs profile, and at GOGC and GOMEMLIMIT.",
    ),
    Code(
        "PW504",
        "goroutine-excess",
        "more than 100 goroutines per processor",
        "Far more goroutines than GOMAXPROCS can serve. Many healthy services are like that (a goroutine for each idle connection); it is "
        "a reason to save a profile while the crowd is small, no accusation.",
    ),
    Code(
        "PW505",
        "blocked-share",
        "suddenly many more goroutines are blocked",
        "The share of goroutines that wait rose by more than 20 points above its own mean. A lock that was never given back or a peer that "
        "stopped answering looks like this first; so does the end of the day's traffic. A reason to look, no accusation.",
    ),
    Code(
        "PW510",
        "stack-persistence",
        "many goroutines on one stack, look after look",
        "At least 50 goroutines (by default) are on this stack in 70 % of the last 10 looks. A leak looks like that, and so does a standing "
        "pool or a crowd of long-lived connections: alone it only leads to a closer look. See whether the number grows and who leaves.",
    ),
    Code(
        "PW511",
        "site-floor-growth",
        "what stays at one line when bursts have gone is more and more",
        "The floor of this site, the least count per time slot, keeps rising, with a stated chance of being an accident; bursts, tides of load and "
        "pools that slow down are told apart. Look at what the goroutines wait for and who should have ended the wait.",
    ),
    Code(
        "PW512",
        "survivors",
        "goroutines keep coming to one line and those that stay never leave",
        "Censuses name every goroutine: at this site new ones arrive and none of the old ones leaves, at an age at which healthy ones are long "
        "gone. A standing pool has no births, a burst no survivors, a crowd of connections has departures at every age.",
    ),
    Code(
        "PW513",
        "proven-leak",
        "the runtime proved goroutines at this line leaked",
        "Go's leak profile found that nothing that can still run reaches what they wait for. They will wait until the process ends. What "
        "was once proven stays proven for that life of the process, even where a later profile is silent about it.",
    ),
    Code(
        "PW514",
        "load-growth",
        "goroutines at one line grow and the load does not",
        "More requests bring more goroutines and take them away again. Here the number per request rises: the load is steady or falls and the "
        "site still grows.",
    ),
    Code(
        "PW515",
        "replica-age",
        "the older the replica, the more goroutines at this line",
        "Replicas of one version serve the same load, yet the count at this site rises with the time since each was started. What depends on age and "
        "not on load accumulates.",
    ),
    Code(
        "PW516",
        "new-since-deploy",
        "a line that came with the last version keeps goroutines",
        "The site was not there, or did not grow, before the version that is deployed now. The change that came with it is where to look first.",
    ),
    Code(
        "PW517",
        "close-look",
        "in a close look goroutines come in a straight line to one place and none that is old leaves",
        "Censuses seconds apart followed every goroutine: births at this site go on as steadily as they began, nobody beyond a certain age "
        "leaves, and they do no work. A pool that fills slows down or works, traffic leaves. Only lives longer than the look look the same.",
    ),
    Code(
        "PW520",
        "fd-exhaustion",
        "file descriptors run out",
        "The number of open descriptors is near its limit, or on a line to it; the time left is told with its interval. At the limit every accept, dial and open "
        "fails (`too many open files`). What holds them stands beside it: the kind that grows and the goroutines that grow with it. Close "
        "what that line opens; raising the limit only moves the end.",
    ),
    Code(
        "PW521",
        "thread-exhaustion",
        "operating-system threads run out",
        "Every goroutine in a blocking system call or C call holds a thread and Go gives none back. At Go's limit (10,000 by default) or the system's (pids.max, "
        "ulimit -u) the process ends at once. Bound what blocks: a semaphore before the call, a deadline, or a call that waits in the poller.",
    ),
    Code(
        "PW522",
        "memory-exhaustion",
        "memory runs out",
        "What counts against the memory limit is near it, or on a line to it. The kernel kills without asking, so evidence must be saved before: a heap profile "
        "names who retains, and goroutines that grow beside it hold what they reach. GOMEMLIMIT somewhat below the limit makes Go collect "
        "harder first; it saves nobody from a leak.",
    ),
    Code(
        "PW523",
        "memory-and-descriptors",
        "memory and file descriptors get tight together",
        "Neither alone would be worth waking somebody. Both at once are streams or connections that pile up with their buffers: look at what "
        "holds the descriptors.",
    ),
    Code(
        "PW524",
        "event-loop-health",
        "many descriptors and a large heap at once",
        "The probe's numbers: WARN above 3,000 descriptors and 100 MiB of heap, CRITICAL at three WARNs in a row while the collector runs hard, STUCK above "
        "5,000 and 200 MiB. They are those of one streaming service that died; set them to what yours has at its peak (rules: loop:).",
    ),
    Code(
        "PW525",
        "waits-without-deadline",
        "goroutines wait for the network at one line for minutes and none leaves",
        "A read or write without a deadline waits as long as the peer is silent, which may be for ever. Set one before each operation, time-outs on "
        "servers and clients, and close the connection when its context ends.",
    ),
    Code(
        "PW590",
        "no-data",
        "no instance of a service answers",
        "Nobody could be asked for longer than a restart takes. That is no recovery: what was wrong before is still open, and cannot be "
        "judged. See whether the service is down, or only its diagnostics port, the network between or the credentials; `parkwarden doctor` "
        "asks the targets.",
    ),
)


def _all() -> dict[str, Code]:
    codes = list(_OTHERS)
    codes += [Code(crash.CODE_BY_CAUSE[c], c, title, crash.ADVICE[c]) for c, title in _CRASHES.items()]
    codes += [
        Code(p.code, p.id, p.title, "\n\n".join(part for part in (p.meaning, p.why, p.cure) if part))
        for p in PATTERNS.values()
    ]
    return {c.code: c for c in sorted(codes, key=lambda c: c.code)}


CODES = _all()
