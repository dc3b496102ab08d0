"""How a number moves towards its limit: since when, how fast, when it arrives, and how wrong that may be. Shared by the limits' detectors.

Method, in this order
- Readings are put into at most `SLOTS` slots of equal count. Of counts a slot keeps the median, which bursts and spikes do not bend. Of memory it
  keeps the maximum and its time, the upper envelope: a collector's saw tooth runs below it, and it is the peak that meets the limit.
- Change points: where two lines with a step or bend between them leave less than `CUT` of the squared error of one, and differ by more than steps
  that come by chance make them (`BEYOND`), only what came after the cut counts, and it is asked again. Growth that stopped is thereby no growth, and a
  pool that filled in one go no slope.
- The slope is Theil's and Sen's (time_left.sen_slope). Its standard error is that of a line through the slots, widened by what the residuals'
  correlation from slot to slot takes away (Bartlett's (1 + r) / (1 - r), r freed of its bias in short series), never below what steps of `grain` that
  come one by one at chance moments wander (Poisson), and never below `RATE_DRIFT` of the slope: what grows with the load changes as the load does.
- The level is a Kalman filter's along that slope: of what accumulates the newest reading says where it is, of what comes and goes the mean does, and
  how much is which, the variance of single steps beside that of long ones tells. The readings' `PEAK` above it is added: the limit is met by a peak.
- Arrival is where the line meets the limit; its interval is where the forecast band does, whose width grows with the slope's error, with the
  wander a correlated series will go on to have, and with the noise of single readings. The early end is that of a limit `LAST` steps nearer. While
  the newest reading is below the limit there is a grain of room left: the late end is never now.

Source: P. K. Sen, JASA 63 (1968); M. S. Bartlett, JRSS 98 (1935); F. H. C. Marriott & J. A. Pope, Biometrika 41 (1954) (the bias of r);
R. E. Kalman, J. Basic Eng. 82 (1960), of a local level: J. F. Muth, JASA 55 (1960).
How often the interval holds the truth: tests/judge/fleet/test_approach.py simulates it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from parkwarden.judge.fleet.time_left import sen_slope

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

SLOTS = 32
"""Points a line is drawn through: 496 pairs, 30 us. More are no surer, since neighbours are correlated."""
PEAK_SLOTS = 20
"""The same of memory: wider slots hold more teeth of the saw."""
CUT = 0.2
"""Share of one line's squared error that two lines may leave to be believed. A random walk, cut at its best place, leaves two fifths, one in ten a fifth."""
BEYOND, JUMP = 2.5, 3.5
"""Standard errors by which the slopes on both sides of a cut must differ where steps come by chance and stay; or else the step between them is so many
deviations of one. Less: a lull is a change point, and what was learnt before it is thrown away."""
MIN_SEGMENT = 5
"""Slots on either side of a cut: two lines through fewer fit anything."""
MAX_CUTS = 4
"""Changes looked for behind one another."""
PEAK = 0.9
"""Quantile of the readings' distances from the level that is added to it."""
RATE_DRIFT = 0.06
"""Standard deviation of how much a rate changes by the time of arrival, as a share of it: no growth is steadier than what drives it."""
Z, STUDENT = 2.2, 2.0
"""Half width in standard deviations, Z (1 + STUDENT / n) of n steps. 1.64 is 90 % of a normal error of known variance; here it is estimated from
few, correlated and lumpy readings: (z z + 1) / 4 df is Student's correction (Cornish & Fisher), df are some three quarters of n. Nine in ten is to hold for each
kind of service in twenty runs, not over all of them, which asks for some 97 % (docs/limits.md has what came out)."""
LAST = 2.0
"""Steps short of the limit at which it may be met: the next one does not fit, and takes more for a moment than it keeps (os/exec closes a
child's ends of the pipes after its start); how large steps are, the walk's variance over its pace says."""
CLIP = 3.0
"""Standard deviations of a step beyond which the level does not follow a reading: a spike is none."""
LAGS = 8
"""The steps' correlation is followed over an eighth of them."""
SLOWER = 0.85
"""Share of the first third's pace at which the last third is called slower, if it is so beyond its error."""

LASTED = 0.5
"""See `_bent`: a line that goes on for twice as long as the faster one before it is no curve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approach:
    """A number on its way to a limit. Times in seconds; `seconds`, `low_s` and `high_s` from now, infinite where it does not arrive."""

    value: float
    """Where its peaks are now."""
    limit: float
    rate_per_s: float
    seconds: float
    low_s: float
    high_s: float
    since: float
    """The last change point, or the first reading."""
    span_s: float
    risen: float
    """Rise of the line since then."""
    sure: bool
    """Whether it surely grows: then `high_s` is finite."""
    slowing: bool
    """Whether its last third is slower than its first, or it than what came just before: a pool that fills."""


def approach(times: Floats, values: Floats, limit: float, now: float, *, peaks: bool, grain: float) -> Approach | None:
    """The way to the limit of readings of one life, oldest first; None of fewer than MIN_SEGMENT. `peaks`: keep each slot's maximum.

    `grain` is the least step that means something (1 of a count): errors below it are not believed.
    """
    if len(values) < MIN_SEGMENT:
        return None
    earlier = None
    for _ in range(MAX_CUTS):
        x, y = _slots(times, values, peaks)
        cut = _cut(x, y, grain)
        if cut is None:
            break
        after = times > cut
        earlier = x[x <= cut], y[x <= cut]
        times, values = times[after], values[after]
    walks = _walk(x, y) if peaks else _walk(times, values)
    line = _line(x, y, grain, walks, lumps=grain)
    level, rest = _level(*((x, y) if peaks else (times, values)), line, now, grain)
    value = max(level, float(np.median(values[-3:])))
    span = float(times[-1] - times[0])
    room = max(limit - value, grain if values[-1] < limit else 0.0)
    z = Z * (1 + STUDENT / (len(values) - 1))
    seconds, low, high = line.arrival(room, z, rest)
    if line.slope > 0:
        low = min(low, line.arrival(max(room - LAST * line.walks / line.slope, 0.0), z, rest)[1])
    return Approach(
        value=value,
        limit=limit,
        rate_per_s=line.slope,
        seconds=seconds,
        low_s=low,
        high_s=high,
        since=float(times[0]),
        span_s=span,
        risen=line.slope * span,
        sure=line.slope > z * line.error and line.slope * span >= 2 * grain,
        slowing=_slowing(x, y, grain, walks) or (earlier is not None and _bent(*earlier, line, span, grain)),
    )


@dataclass(frozen=True, slots=True)
class _Line:
    slope: float
    error: float
    """Standard error of the slope."""
    wander: float
    """Variance that the series may gain a second: by the walk seen, or by residuals that remember."""
    walks: float
    """The walk's alone."""

    def arrival(self, room: float, z: float, rest: float) -> tuple[float, float, float]:
        """Seconds until the line has risen by `room`, and the interval: where the band of +-z about it has. `rest`: deviation of a reading."""
        if room <= 0:
            return 0.0, 0.0, 0.0
        s, e2, c, r2 = self.slope, (z * self.error) ** 2, z * z * self.wander, (z * rest) ** 2
        a, b, d = s * s - e2, -(2 * room * s + c), room * room - r2
        root = math.sqrt(max(b * b - 4 * a * d, 0.0))
        if a > 0 and s > 0:
            return room / s, max((-b - root) / (2 * a), 0.0), (-b + root) / (2 * a)
        low = (-b - root) / (2 * a) if a else (-d / b if b else math.inf)
        if s > 0:
            return room / s, max(low, 0.0), math.inf
        return math.inf, low if low > 0 else math.inf, math.inf


def _slots(times: Floats, values: Floats, peaks: bool) -> tuple[Floats, Floats]:
    """Readings in slots of equal count, the newest ones whole: medians at mean times, or maxima at their own (of growth it is a slot's last)."""
    each = -(-len(values) // (PEAK_SLOTS if peaks else SLOTS))
    if each <= 1:
        return times, values
    n = len(values) // each
    at, block = times[-n * each :].reshape(n, each), values[-n * each :].reshape(n, each)
    if peaks:
        highest = np.arange(n), block.argmax(axis=1)
        return at[highest], block[highest]
    return at.mean(axis=1), np.median(block, axis=1)


def _cut(x: Floats, y: Floats, grain: float) -> float | None:
    """The time of the change point, None where one line will do."""
    n = len(x)
    if n < 2 * MIN_SEGMENT:
        return None
    u, v = x - x.mean(), y - y.mean()
    terms = np.cumsum(np.stack([np.ones(n), u, v, u * u, u * v, v * v]), axis=1)
    whole = terms[:, -1]
    one = float(_error(whole[:, None])[0])
    if one <= n * grain * grain:
        return None
    left = terms[:, MIN_SEGMENT - 1 : n - MIN_SEGMENT]
    two = _error(left) + _error(whole[:, None] - left)
    best = int(np.argmin(two))
    if two[best] > CUT * one:
        return None
    at = MIN_SEGMENT + best  # the first slot after the cut
    return float((x[at - 1] + x[at]) / 2) if _differ(x, y, at, grain) else None


def _differ(x: Floats, y: Floats, at: int, grain: float) -> bool:
    """Whether the lines before and from slot `at` on differ by more than the chance of steps that stay makes them."""
    first, last = sen_slope(x[:at], y[:at])[0], sen_slope(x[at:], y[at:])[0]
    apart, steps = np.diff(x), np.diff(y)
    jump = steps[at - 1] - (first + last) / 2 * apart[at - 1]
    own = np.arange(len(steps)) != at - 1
    rest = (steps - np.where(np.arange(len(steps)) < at, first, last) * apart)[own]
    length = float(apart[own].sum())
    per_s = max(float(rest @ rest) * len(rest) / max(len(rest) - 2, 1), grain * grain) / length
    error = math.sqrt(1.2 * per_s * (1 / (x[at - 1] - x[0]) + 1 / (x[-1] - x[at])))
    return bool(abs(first - last) > BEYOND * error or abs(jump) > JUMP * math.sqrt(per_s * apart[at - 1]))


def _error(terms: Floats) -> Floats:
    """Squared error of the best line, from sums of 1, x, y, xx, xy, yy: shape (6, k) -> (k,)."""
    n, sx, sy, sxx, sxy, syy = terms
    cxx = np.maximum(sxx - sx * sx / n, 1e-12)
    cxy = sxy - sx * sy / n
    error: Floats = np.maximum(syy - sy * sy / n - cxy * cxy / cxx, 0.0)
    return error


def _walk(x: Floats, y: Floats) -> float:
    """Long-run variance of the steps, a second: what an accumulation of chance arrivals wanders (Newey & West 1987); about none of
    noise that comes back."""
    steps = np.diff(y)
    n = len(steps)
    lags = n // LAGS
    if n < LAGS:
        return 0.0
    steps = steps - steps.mean()
    total = float(steps @ steps)
    for lag in range(1, lags + 1):
        total += 2 * (1 - lag / (lags + 1)) * float(steps[lag:] @ steps[:-lag])
    return max(total, 0.0) / max(n - 1, 1) / max(float(x[-1] - x[0]) / n, 1e-9)


def _line(x: Floats, y: Floats, grain: float, walks: float, lumps: float = 0.0) -> _Line:
    """The line through slots. `walks`: the walk's variance a second; `lumps`: the least step that comes by chance, 0 of none."""
    n = len(x)
    slope = sen_slope(x, y)[0]
    walks = max(walks, slope * lumps)
    rest = y - slope * x
    rest = rest - np.median(rest)
    sigma = max(float(rest.std()) * math.sqrt(n / max(n - 2, 1)), 0.3 * grain)
    step = max(float(x[-1] - x[0]) / max(n - 1, 1), 1e-9)
    most = 1.5 * n  # what a random walk's correlation comes to: Var(slope) = 6/5 of its variance per length
    r = float(rest[1:] @ rest[:-1] / max(float(rest @ rest), 1e-12)) if sigma > 0.3 * grain else 0.0
    r = min(max(r + (2 + 8 * max(r, 0.0)) / n, 0.0), 0.999)
    factor = min((1 + r) / (1 - r), most)
    error = sigma * math.sqrt(12 / n**3 * factor) / step
    length = n * step
    wander = max(error * error * length / 1.2 * (factor / most), walks)
    error = max(error, math.sqrt(1.2 * walks / length))
    return _Line(slope, math.hypot(error, RATE_DRIFT * slope), wander, walks)


def _level(x: Floats, y: Floats, line: _Line, now: float, grain: float) -> tuple[float, float]:
    """Where the peaks are now, and a single reading's deviation: a local level filtered along the slope, single steps clipped."""
    along = y - line.slope * (x - now)
    steps = np.diff(along)
    step = float(steps @ steps) / len(steps)
    walked = line.walks * float(x[-1] - x[0]) / len(steps)
    noise = max((step - walked) / 2, (0.3 * grain) ** 2)  # a step holds the noise of two readings
    gain = 2 / (1 + math.sqrt(1 + 4 * noise / walked)) if walked > 0 else 0.0
    most = CLIP * math.sqrt(step)
    level, track = float(np.median(along[:3])), []
    for i, height in enumerate(along.tolist()):
        level += max(gain, 1 / (i + 2)) * min(max(height - level, -most), most)
        track.append(level)
    above = float(np.quantile(along - track, PEAK))
    return level + max(above, 0.0), math.sqrt(noise * (1 + max(gain, 1 / len(x))))


def _slowing(x: Floats, y: Floats, grain: float, walks: float) -> bool:
    third = len(x) // 3
    if third < 3:
        return False
    first = _line(x[:third], y[:third], grain, walks)
    last = _line(x[-third:], y[-third:], grain, walks)
    beyond = first.slope - last.slope > math.hypot(first.error, last.error)
    return first.slope > 0 and last.slope < SLOWER * first.slope and beyond


def _bent(x: Floats, y: Floats, line: _Line, span: float, grain: float) -> bool:
    """Whether growth before the change point was faster, and lasted for `LASTED` of what has passed since: the curve of a pool, cut in lines."""
    before = _line(x, y, grain, 0.0)
    slower = line.slope < SLOWER * before.slope
    return (
        slower
        and before.slope - line.slope > math.hypot(before.error, line.error)
        and float(x[-1] - x[0]) > LASTED * span
    )
