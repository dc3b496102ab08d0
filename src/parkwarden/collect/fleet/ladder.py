"""The ladder of looks at one instance: state + now -> what to ask next. Pure: times are inputs, whoever calls does the asking.

On beat: a goroutine profile and, more rarely, a census (of a small process with an old Go a text dump), at a phase of the instance's own so that a fleet does not burst.
On suspicion, once per `suspect_again_s` and reason: a profile at once and every `close_every_s` for `close_watch_s`, a census at once
and another `second_census_after_s` later, leak profile, longer trace and text dump once each where there are few enough goroutines. A
suspicion about memory alone (a heap that jumps is the usual saw tooth of the collector in many a healthy service) calls for one heap
profile and one goroutine profile, nothing dear. What is not possible here (too many goroutines, not there, old Go) is refused with a reason at once;
what is merely not possible now (budgets.py) stays due until it is stale.

When a limit is near (`last_chance`): a process that dies takes everything with it, so the early end of the time left calls for a goroutine
profile, a heap profile and a trace once it falls below each of LAST_CHANCES_S. Prices and budgets hold as for a suspicion.

Example: `state = Ladder(...)`; `state.suspect("goroutine-trend", now, facts)`; `while ask := state.due(now): ...`.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field

from parkwarden.collect.fleet.prices import Look
from parkwarden.collect.fleet.settings import CollectSettings
from parkwarden.model.capture import LAST_CHANCE

ON_BEAT = "on beat"
MAX_WHYS = 32
"""Reasons remembered per instance; there are about a dozen detectors."""
STALE_S = 60.0
"""A look that budgets held back for so long is not taken any more."""
REST_S = 30.0
"""Pause of all looks at an instance after one that got no answer; doubles from then on."""
REST_MAX_S = 1800.0
BUSY_TRACING_S = 5.0
"""Only one trace can run in a process: so long until a census is tried again when somebody else is tracing."""
BEAT_DUMP_MAX_GOROUTINES = 500
"""Of a process too old for censuses (Go before 1.23), up to which a text dump stands in for them on beat: it stops the world for about
7 ms, twelve times an hour. Larger ones are judged by counts until they are suspected."""
LAST_CHANCES_S = (300.0, 30.0)
"""Early ends of a time left below which evidence is taken while there is somebody to take it of: once with minutes to spare, when all
looks still get through, and again six beats before the end, when what grew stands out most."""
BUSY_TRACING_TRIES = 3
"""Then a text dump tells who is there, while it is cheap."""


@dataclass(frozen=True, slots=True, order=True)
class Ask:
    """One look to take: due `at`; `rank` orders what is due at the same time; `tries` already made."""

    at: float
    rank: int
    look: Look = field(compare=False)
    why: str = field(compare=False)
    seconds: float = field(compare=False, default=0.0)
    """Length of a trace."""
    tries: int = field(compare=False, default=0)
    wanted: float = field(compare=False, default=-1.0)
    """When it was first due."""

    @property
    def on_beat(self) -> bool:
        return self.why == ON_BEAT


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an instance when a look is decided; None = not known."""

    goroutines: int | None = None
    profiles: frozenset[str] | None = None
    """Profiles pprof's index names; an empty set says there is no pprof."""
    go_minor: int | None = None
    """27 for Go 1.27."""
    no_census: bool = False
    """A census was tried and named no stacks."""


def refusal(look: Look, facts: Facts, settings: CollectSettings, *, any_size: bool = False) -> str:
    """Why this look cannot be taken at this instance, "" if it can."""
    if facts.profiles is not None:
        name = {Look.DUMP: "goroutine", Look.CENSUS: "trace", Look.TRACE: "trace"}.get(look, look.value)
        # the index lists the profiles; `trace` is among its links in all versions
        if (name not in facts.profiles) if name != "trace" else not facts.profiles:
            return "not-there"
    if look in (Look.CENSUS, Look.TRACE) and (facts.no_census or (facts.go_minor is not None and facts.go_minor < 23)):
        return "old-go"
    switched_on, most = {
        Look.PROFILE: (True, None),
        Look.HEAP: (settings.heap, None),
        Look.CENSUS: (settings.census, settings.census_max_goroutines),
        Look.TRACE: (settings.census and settings.longer_trace, settings.trace_max_goroutines),
        Look.LEAK: (settings.leak_profile, settings.leak_profile_max_goroutines),
        Look.DUMP: (settings.text_dump, settings.text_dump_max_goroutines),
    }[look]
    if not switched_on:
        return "switched-off"
    if most is not None and not any_size and (facts.goroutines is None or facts.goroutines > most):
        return "too-many-goroutines" if facts.goroutines is not None else "goroutines-unknown"
    return ""


def about_memory(why: str) -> bool:
    """Whether a suspicion speaks of memory alone: goroutines need no closer look for it."""
    return why.startswith(("heap-", "gc-", "memory-"))


class Ladder:
    """What one instance is due, and since when it is suspected. `phase` in [0, 1) is the instance's own."""

    __slots__ = (
        "_chances",
        "_failures",
        "_next_census",
        "_next_profile",
        "_plan",
        "_rest_until",
        "_settings",
        "_whys",
        "close_until",
    )

    def __init__(self, settings: CollectSettings, phase: float, now: float) -> None:
        self._settings = settings
        self._next_profile = now + settings.profile_every_s * phase
        self._next_census = now + settings.census_every_s * phase
        self._plan: list[Ask] = []
        self._whys: dict[str, float] = {}
        self._chances: dict[str, tuple[int, float]] = {}
        self._failures = 0
        self._rest_until = 0.0
        self.close_until = 0.0
        """Until when it is watched closely."""

    def wanted(self, why: str, now: float) -> bool:
        """Whether a suspicion calls for looks: the same was not followed lately."""
        last = self._whys.get(why)
        return last is None or now - last >= self._settings.suspect_again_s

    def suspect(self, why: str, now: float, facts: Facts) -> dict[Look, str]:
        """Plan what a suspicion calls for (that is `wanted`); the looks refused, and why."""
        settings = self._settings
        if len(self._whys) >= MAX_WHYS and why not in self._whys:
            del self._whys[min(self._whys, key=self._whys.__getitem__)]
        self._whys[why] = now
        wanted = [Ask(now, 0, Look.PROFILE, why)]
        if about_memory(why):
            wanted.append(Ask(now, 3, Look.HEAP, why))
        elif now >= self.close_until:  # a second reason while it is watched closely adds what only it calls for
            self.close_until = now + settings.close_watch_s
            steps = int(settings.close_watch_s / settings.close_every_s) if settings.close_every_s > 0 else 0
            wanted += [Ask(now + i * settings.close_every_s, 0, Look.PROFILE, why) for i in range(1, steps + 1)]
            again = now + settings.second_census_after_s
            wanted += [Ask(t, 1, Look.CENSUS, why, settings.census_s) for t in (now, again)]
            wanted.append(Ask(now, 2, Look.LEAK, why))
            wanted.append(Ask(now, 4, Look.TRACE, why, settings.trace_s))
            wanted.append(Ask(again, 5, Look.DUMP, why))
            if refusal(Look.CENSUS, facts, settings) == "old-go":
                wanted.append(Ask(now, 5, Look.DUMP, why))  # who stays takes two looks that name ids
        return self._plan_all(wanted, facts)

    def nearing(self, limit: str, low_s: float, now: float) -> bool:
        """Whether a time left whose early end is `low_s` calls for looks now: it fell below the next of LAST_CHANCES_S, or has
        stayed below one for `suspect_again_s`."""
        stage = _stage(low_s)
        taken, at = self._chances.get(limit, (0, now))
        return stage > taken or (stage > 0 and now - at >= self._settings.suspect_again_s)

    def last_chance(self, limit: str, low_s: float, now: float, facts: Facts) -> dict[Look, str]:
        """Plan what is to be saved before `limit` is reached (where `nearing`); the looks refused, and why."""
        self._chances[limit] = (_stage(low_s), now)
        why = f"{LAST_CHANCE} {limit}"
        settings = self._settings
        wanted = [Ask(now, 0, Look.PROFILE, why), Ask(now, 3, Look.HEAP, why)]
        if refusal(Look.TRACE, facts, settings):
            wanted.append(Ask(now, 1, Look.CENSUS, why, settings.census_s))  # the cheaper of the two traces
        else:
            wanted.append(Ask(now, 4, Look.TRACE, why, settings.trace_s))
        return self._plan_all(wanted, facts)

    def _plan_all(self, wanted: list[Ask], facts: Facts) -> dict[Look, str]:
        refused: dict[Look, str] = {}
        for ask in wanted:
            reason = refusal(ask.look, facts, self._settings)
            if reason:
                refused[ask.look] = reason
            else:
                self._add(ask)
        return refused

    def due(self, now: float, facts: Facts) -> Ask | None:
        """The next look to take now, taken off the plan; None if there is none. What is stale is dropped."""
        if now < self._rest_until:
            return None
        plan = self._plan
        while plan and plan[0].at <= now:
            ask = plan.pop(0)
            if now - ask.wanted > STALE_S:
                continue
            if ask.look is Look.PROFILE:  # late steps of the same kind come to one
                while (again := next((a for a in plan if a.look is Look.PROFILE and a.at <= now), None)) is not None:
                    plan.remove(again)
                self._next_profile = max(self._next_profile, now + self._settings.close_every_s)
            return ask
        settings = self._settings
        if settings.profile_every_s > 0 and now >= self._next_profile:
            self._next_profile = _after(self._next_profile, settings.profile_every_s, now)
            if not refusal(Look.PROFILE, facts, settings):
                return Ask(now, 0, Look.PROFILE, ON_BEAT, wanted=now)
        if settings.census_every_s > 0 and now >= self._next_census:
            self._next_census = _after(self._next_census, settings.census_every_s, now)
            reason = refusal(Look.CENSUS, facts, settings)
            if not reason:
                return Ask(now, 1, Look.CENSUS, ON_BEAT, settings.census_s, wanted=now)
            small = facts.goroutines is not None and facts.goroutines <= BEAT_DUMP_MAX_GOROUTINES
            if reason == "old-go" and small and not refusal(Look.DUMP, facts, settings):
                return Ask(now, 5, Look.DUMP, ON_BEAT, wanted=now)
        return None

    def postpone(self, ask: Ask, until: float) -> None:
        """Put a look back that cannot be taken just now."""
        self._add(Ask(until, ask.rank, ask.look, ask.why, ask.seconds, ask.tries, ask.wanted))

    def failed(self, now: float) -> None:
        """A look got no answer: leave pprof alone for a while, longer each time. Those that hang must not take all places."""
        self._rest_until = now + min(REST_S * 2.0 ** min(self._failures, 16), REST_MAX_S)
        self._failures += 1

    def answered(self) -> None:
        """A look got an answer, whatever it was."""
        self._failures = 0

    def old_go(self, ask: Ask, now: float, facts: Facts) -> None:
        """A census named no stacks: on suspicion a text dump takes its place, if it is cheap."""
        if not ask.on_beat and not refusal(Look.DUMP, facts, self._settings):
            self._add(Ask(now, 5, Look.DUMP, ask.why))

    def tracing_busy(self, ask: Ask, now: float, facts: Facts) -> str:
        """Somebody else traces the process: try again a little later, at last fall back to a text dump. The reason if it
        comes to nothing."""
        if ask.tries + 1 < BUSY_TRACING_TRIES:
            self._add(Ask(now + BUSY_TRACING_S, ask.rank, ask.look, ask.why, ask.seconds, ask.tries + 1, now))
            return ""
        if ask.on_beat or ask.look is not Look.CENSUS:
            return "traced-by-another"
        reason = refusal(Look.DUMP, facts, self._settings)
        if not reason:
            self._add(Ask(now, 5, Look.DUMP, ask.why))
        return reason

    def next_at(self) -> float | None:
        """When the next planned look is due; beats are looked at after each reading."""
        return max(self._plan[0].at, self._rest_until) if self._plan else None

    def suspected(self, now: float) -> bool:
        return now < self.close_until

    def forget(self) -> None:
        """A new life: nothing that was planned for the old one is of use."""
        self._plan.clear()
        self._whys.clear()
        self._chances.clear()
        self._failures = 0
        self._rest_until = 0.0
        self.close_until = 0.0

    def _add(self, ask: Ask) -> None:
        if ask.wanted < 0:
            ask = Ask(ask.at, ask.rank, ask.look, ask.why, ask.seconds, ask.tries, ask.at)
        if any(a.look is ask.look and abs(a.at - ask.at) < 1.0 for a in self._plan):
            return
        insort(self._plan, ask)


def _after(beat: float, every: float, now: float) -> float:
    """The first beat after `now`: beats that were missed are not made up for."""
    return beat + every * (int((now - beat) // every) + 1)


def _stage(low_s: float) -> int:
    """How many of LAST_CHANCES_S a time left has fallen below."""
    return sum(low_s < chance for chance in LAST_CHANCES_S)
