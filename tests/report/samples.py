"""Cases and reports made by hand: a leak at its best, an empty one, a hostile one, a huge one."""

from __future__ import annotations

from collections import Counter

import numpy as np

from parkwarden.model import (
    Artefact,
    BuildInfo,
    Case,
    Cluster,
    Creation,
    Evidence,
    Finding,
    Frame,
    Grade,
    InputEntry,
    Kind,
    Look,
    Problem,
    Report,
    Site,
    Snapshot,
    Source,
    SourceExcerpt,
    Stack,
    Trace,
    Verdict,
    Wait,
    make_snapshot,
)

HOSTILE = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(2)>",
    "\x1b[31mred\x1b[0m\x1b]0;title\x07",
    "line one\nline two\r\ttab",
    "\u202egnirts\u202c \u200bzero\u2066width\ufeff",
    "{{ 7 * 7 }}{% raw %}",
    "[bold]rich[/bold] :smile:",
    "'\"><svg onload=alert(3)>",
    "<!-- <script> -->",
    "a" * 5000,
    "\udc80lone surrogate",
    "Z\u0300\u0300\u0300\u0300\u0300\u0300\u0300\u0300algo",
)

MOD = "/go/pkg/mod/github.com/zeromicro/go-zero@v1.7.3/core/collection"
SHOP = "/src/shop/internal"

RUN = Frame("github.com/zeromicro/go-zero/core/collection.(*TimingWheel).run", f"{MOD}/timingwheel.go", 264)
SELECT = Frame("runtime.selectgo", "/usr/local/go/src/runtime/select.go", 335)
NEW_WHEEL = Frame("github.com/zeromicro/go-zero/core/collection.NewTimingWheelWithTicker", f"{MOD}/timingwheel.go", 117)
NEW_WHEEL0 = Frame("github.com/zeromicro/go-zero/core/collection.NewTimingWheel", f"{MOD}/timingwheel.go", 88)
NEW_CACHE = Frame("github.com/zeromicro/go-zero/core/collection.NewCache", f"{MOD}/cache.go", 57)
QUOTE = Frame("shop/internal/pricing.(*Service).Quote", f"{SHOP}/pricing/service.go", 42)
HANDLER = Frame("shop/internal/api.(*Server).handleQuote", f"{SHOP}/api/server.go", 118)
SERVE = Frame("net/http.(*conn).serve", "/usr/local/go/src/net/http/server.go", 2047)
POLL = Frame("internal/poll.runtime_pollWait", "/usr/local/go/src/runtime/netpoll.go", 351)
READ = Frame("net.(*conn).Read", "/usr/local/go/src/net/net.go", 194)
BACKGROUND = Frame("net/http.(*connReader).backgroundRead", "/usr/local/go/src/net/http/server.go", 702)


def site(index: int, reason: str, frames: tuple[Frame, ...], created_by: Frame | None = None) -> Site:
    leaf = frames[0]
    return Site(f"s{index:07x}", reason, leaf.function, leaf.file, leaf.line, frames, created_by)


def clusters(n: int = 24, looks: int = 3) -> list[Cluster]:
    """The wheel's cluster first, n - 1 ordinary ones after it."""
    total = 20_000
    out = [
        Cluster(
            site=site(0, "select", (RUN,), NEW_WHEEL),
            count=18_412,
            share=18_412 / total,
            counts=tuple(int(18_412 * (i + 1) / looks) for i in range(looks)),
            members=("s0000000",),
            states=Counter({"select": 18_412}),
            wait_min=(3, 47),
            mean_depth=2.0,
            blocking_points=Counter({"selectgo": 18_412}),
            module_entropy=0.1,
            labels=Counter({("tenant", "acme"): 11_000, ("path", "/quote"): 18_412}),
            goids=(18, 19, 21, 33),
            leaked=0,
            stayed=6_100,
            since=1_790_000_000.0,
            growth_per_min=402.5,
        )
    ]
    for i in range(1, n):
        depth = 3 + i % 9
        frames = tuple(
            Frame(f"shop/internal/mod{i % 5}.(*Worker).step{j}", f"{SHOP}/mod{i % 5}/worker.go", 10 + j * 7 + i)
            for j in range(depth)
        )
        if i % 3 == 0:
            frames = (POLL, READ, BACKGROUND)
        reason = ("chan receive", "IO wait", "semacquire", "sleep")[i % 4]
        size = max(1, 900 // (i + 1))
        out.append(
            Cluster(
                site=site(i, reason, frames, SERVE if i % 2 else None),
                count=size,
                share=size / total,
                counts=tuple(max(0, size + (i % 3 - 1) * (looks - 1 - j) * 5) for j in range(looks)),
                members=(f"s{i:07x}",),
                states=Counter({reason: size}),
                wait_min=(0, i) if i % 2 else None,
                mean_depth=float(len(frames)),
                blocking_points=Counter({"gopark": size}),
                labels=Counter({("tenant", f"t{i}"): size}),
                goids=(100 + i,),
                growth_per_min=float(i % 3),
            )
        )
    return out


def trace() -> Trace:
    return Trace(
        version="1.26",
        duration_s=5.0,
        started_at=1_790_000_060.0,
        events=1_200_000,
        generations=5,
        created=20_412,
        ended=2_003,
        creations=[
            Creation(
                stack=Stack((NEW_WHEEL, NEW_WHEEL0, NEW_CACHE, QUOTE, HANDLER, SERVE)),
                start=Frame(RUN.function, RUN.file, 250),
                count=18_400,
                first_s=0.1,
                last_s=4.9,
                peak_per_s=20_900.0,
                alive=18_400,
                parents=6_100,
            ),
            Creation(
                stack=Stack((SERVE,)),
                start=BACKGROUND,
                count=2_012,
                first_s=0.0,
                last_s=5.0,
                peak_per_s=420.0,
                alive=9,
                parents=51,
            ),
        ],
        waits=[
            Wait(
                stack=Stack((SELECT, RUN), NEW_WHEEL),
                reason="select",
                count=18_400,
                total_s=45_000.0,
                max_s=4.8,
                open=18_400,
            ),
            Wait(stack=Stack((POLL, READ)), reason="IO wait", count=2_400, total_s=220.0, max_s=1.2, open=14),
        ],
        census=None,
        created_per_s=np.array([10, 40, 900, 4200, 3900, 2100, 2200, 2300, 2400, 2362], dtype=np.int64),
    )


def snapshot(total: int, source: Source = Source.DUMP) -> Snapshot:
    return make_snapshot(source, [Stack((RUN,), NEW_WHEEL)], [0], count=[total])


def case(n: int = 24, looks: int = 3) -> Case:
    kinds = [(Kind.GOROUTINE_DUMP, Source.DUMP), (Kind.GOROUTINE_PROFILE, Source.PROFILE), (Kind.TRACE, Source.CENSUS)]
    artefacts: list[Artefact] = []
    seen: list[Look] = []
    for i in range(looks):
        kind, source = kinds[i % 3]
        shot = snapshot(20_000 * (i + 1) // looks, source)
        art = Artefact(name=f"{kind.value}-{i}", kind=kind, size=46_600_000 >> i, records=shot.total, snapshot=shot)
        if kind is Kind.TRACE:
            art.trace = trace()
        artefacts.append(art)
        seen.append(Look(artefact=art, snapshot=shot, at=1_790_000_000.0 + 60 * i))
    return Case(
        artefacts=artefacts,
        looks=seen,
        clusters=clusters(n, looks),
        build=BuildInfo(go_version="go1.27.3", main_module="shop", modules=("github.com/zeromicro/go-zero",)),
        user_modules=("shop",),
    )


def leak() -> Finding:
    return Finding(
        code="PW101",
        verdict=Verdict.LEAK,
        confidence=0.97,
        title="collection.NewTimingWheel starts a goroutine per request, and none of them ever ends",
        pattern="constructor-per-request",
        site=site(0, "select", (RUN,), NEW_WHEEL),
        culprit=QUOTE,
        count=18_412,
        share=0.92,
        rate_per_min=402.5,
        since="2026-09-21T14:13:20Z",
        wait_min_s=2820.0,
        advice=(
            "Build the cache once, when the service starts, and hand it to the handlers:\n\n"
            "```\nfunc NewService() *Service {\n\tcache, _ := collection.NewCache(time.Minute)\n\treturn &Service{cache: cache}\n}\n```\n\n"
            "`NewCache` starts a timing wheel that has no Stop: what one request builds stays for ever."
        ),
        evidence=[
            Evidence("goroutine-dump-0", "goroutines at this line", "18,412 of 20,000"),
            Evidence("trace-2", "created by this go statement", "18,400 in 5 s (3,680/s, peak 20,900/s)"),
            Evidence("trace-2", "of those still alive at the end", "18,400"),
            Evidence("goroutine-dump-0", "oldest has waited at least", "47 min"),
        ],
        explanation=(
            "Every request that asks for a quote builds its own cache. Each cache starts a timing wheel, "
            "whose goroutine waits in a `select` for ever."
        ),
        grade=Grade.RED,
        path=(HANDLER, QUOTE, NEW_CACHE, NEW_WHEEL0, NEW_WHEEL, RUN),
        source=SourceExcerpt(
            file="internal/pricing/service.go",
            first_line=39,
            lines=(
                "// Quote prices one basket.",
                "func (s *Service) Quote(ctx context.Context, basket Basket) (Price, error) {",
                "\tdefer s.timer.Observe()",
                "\tcache, err := collection.NewCache(time.Minute)",
                "\tif err != nil {",
                "\t\treturn Price{}, err",
                "\t}",
                "\treturn s.price(ctx, cache, basket)",
                "}",
            ),
            statement=(42, 42),
            function="shop/internal/pricing.(*Service).Quote",
            blame="3f2a9c1 2026-09-20 cache quotes per basket",
        ),
    )


def suspect() -> Finding:
    return Finding(
        code="PW104",
        verdict=Verdict.SUSPECT,
        confidence=0.55,
        title="reads without a deadline: goroutines wait for a peer for minutes",
        pattern="io-without-deadline",
        site=site(3, "IO wait", (POLL, READ, BACKGROUND), SERVE),
        count=225,
        share=0.011,
        wait_min_s=180.0,
        advice="Set ReadTimeout and IdleTimeout on the http.Server.",
        evidence=[Evidence("goroutine-dump-0", "in IO wait", "225")],
    )


def recursion() -> Finding:
    names = ("log.(*Reporter).Report", "log.(*Queue).Push", "log.(*Reporter).onFull")
    cycle = tuple(Frame(f"shop/internal/{name}", f"{SHOP}/log/log.go", 30 + 9 * i) for i, name in enumerate(names))
    return Finding(
        code="PW201",
        verdict=Verdict.LEAK,
        confidence=1.0,
        title="stack overflow by endless recursion: Report -> Push -> onFull -> Report",
        pattern="stack-overflow",
        culprit=cycle[0],
        count=1,
        advice="Break the cycle.",
        evidence=[Evidence("crash.log", "message", "goroutine stack exceeds 1000000000-byte limit")],
        path=cycle,
    )


def inputs() -> list[InputEntry]:
    return [
        InputEntry(
            name="goroutine-dump-0", kind="goroutine-dump", bytes=46_600_000, records=20_000,
            problems=[Problem("truncated-record", "line 99120", "goroutine 7 [select]: cut off at the end")],
            used=True, why="names every goroutine with state and wait",
        ),
        InputEntry(name="trace-2", kind="trace", bytes=11_650_000, records=1_200_000, problems=[], used=True, why="creation rates"),
        InputEntry(
            name="heap.pb.gz", kind="heap-profile", bytes=31_337, records=412, problems=[], used=False,
            why="taken just after a restart: 20 MiB in use, 1.1 x what was ever allocated",
        ),
    ]  # fmt: skip


def report(*findings: Finding, redacted: int = 3) -> Report:
    return Report(
        generated_at="2026-11-21T05:40:00Z",
        inputs=inputs(),
        findings=list(findings) or [leak(), suspect()],
        redacted=redacted,
    )


def hostile() -> tuple[Report, Case]:
    """Every text of report and case is hostile."""
    frames = tuple(Frame(text, text, 1) for text in HOSTILE)
    the_case = case(2)
    the_case.clusters = [
        Cluster(
            site=Site(f"s{i}", text, text, text, 1, frames, frames[i]),
            count=5 + i,
            share=0.1,
            counts=(1, 2, 5 + i),
            members=(text,),
            states=Counter({text: 5}),
            labels=Counter({(text, text): 5}),
            blocking_points=Counter({text: 2}),
        )
        for i, text in enumerate(HOSTILE)
    ]
    for art, text in zip(the_case.artefacts, HOSTILE, strict=False):
        art.name = text
        art.problems = [Problem("bad", text, text)]
        if art.trace:
            art.trace.creations = [
                Creation(stack=Stack(frames), start=frames[0], count=1, first_s=0, last_s=0, peak_per_s=1, alive=0)
            ]
            art.trace.waits = [Wait(stack=Stack(frames), reason=HOSTILE[0], count=1, total_s=1, max_s=1, open=0)]
    findings = [
        Finding(
            code="PW101",
            verdict=Verdict.LEAK,
            confidence=0.5,
            title=text,
            pattern=text,
            service=text,
            instance=text,
            site=Site("s", text, text, text, 1, frames, frames[0]),
            culprit=Frame(text, text, 1),
            count=3,
            advice=text + "\n```\n" + text + "\n```",
            explanation=text,
            evidence=[Evidence(text, text, text)],
            path=frames,
            source=SourceExcerpt(text, 1, HOSTILE, (1, 1), text, text),
            since=text,
        )
        for text in HOSTILE
    ]
    entries = [
        InputEntry(name=t, kind=t, bytes=1, records=1, problems=[Problem("bad", t, t)], used=False, why=t)
        for t in HOSTILE
    ]
    return Report(generated_at=HOSTILE[0], inputs=entries, findings=findings, redacted=1), the_case


def huge(n: int = 5_000, depth: int = 60, name: int = 120) -> Case:
    """More distinct stacks than any report can show, each frame with a name of its own."""
    the_case = case(2)
    the_case.clusters = [
        Cluster(
            site=site(
                i,
                "chan receive",
                tuple(
                    Frame(f"shop/<b>/{i}_{j}." + "n" * name, f"/src/{'d' * name}/{i}.go", j + 1) for j in range(depth)
                ),
            ),
            count=5,
            share=5 / (5 * n),
            counts=(4, 4, 5),
            members=(f"s{i}",),
            labels=Counter({("k", "v" * name): 5}),
        )
        for i in range(n)
    ]
    return the_case
