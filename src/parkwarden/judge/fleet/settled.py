"""How much likelier growth is than a crowd that has settled: the number behind the survivors' verdict.

Two stories for the goroutines of one age or more at one site:

- *settled*: a crowd as it ever was (M/M/infinity): they come at a steady rate l, stay m on average beyond that age, and as many are there as these
  two imply. Seen: `there` at the first look (Poisson(l m)), `came` within `watch_s` (rate l), `left` of `exposure_s` goroutine-seconds.
- *growing*: from an onset somewhere within the watch on they come at a rate of their own.

`log_odds` gives log(growing / settled). For *settled* the best l and m in hindsight are taken, for *growing* the average over onsets
(uniform over the watch) and rates (scale-free, over `DECADES`). Such a ratio is an e-process (universal inference): whatever l and m are and however
often one looks, the chance that it ever exceeds x in a settled crowd is at most 1/x (Ville's inequality). `log_odds_young` is the same against a
crowd that is not yet settled.

Source: L. Wasserman, A. Ramdas, S. Balakrishnan, Universal inference, PNAS 117 (2020); J. Ville 1939; A. K. Erlang's crowd: M/M/infinity.
"""

from __future__ import annotations

import math

import numpy as np

DECADES = 4 * math.log(10.0)
"""Width of the prior over rates: four powers of ten, as the ruler of leaks that matter (1 to 10,000 an hour)."""
STAYS = np.geomspace(0.02, 60.0, 32)
"""Mean stays tried, in watches: shorter ones left traces, longer ones are as good as for ever."""
_LOG_STAYS = np.log(STAYS)


def log_odds(
    there: int,
    came: int,
    left: float,
    *,
    span_s: float,
    watch_s: float,
    exposure_s: float,
    onset_s: float | None = None,
) -> float:
    """log(growing / settled), natural. `span_s` from the first that came to now; at least two must have come.

    Where the births of those there at the first look are known too, they may count as come: `there` 0, their full ages in `exposure_s`, and
    `onset_s` says how long the time is in which the onset may lie (the watch otherwise).
    """
    if came < 2:
        return -math.inf
    unit = max(watch_s, 1e-9)  # times in watches: the ratio has no unit
    exposure = exposure_s / unit
    rate = (there + came) / (STAYS + 1.0)
    settled = there * (np.log(rate) + _LOG_STAYS) + came * np.log(rate) - (there + came)
    settled -= left * _LOG_STAYS + exposure / STAYS
    growing = _growing(came, left, span_s / unit, exposure) - math.log(max((onset_s or watch_s) / unit, 1.0))
    growing += there * math.log(there) - there if there else 0.0
    return growing - float(settled.max())


def log_odds_young(came: int, left: float, *, span_s: float, watch_s: float, exposure_s: float, stay_s: float) -> float:
    """log(growing / young): the same against a crowd that began with the watch, of which nobody could be there at the first look.

    It may stay `stay_s` on average at most: without a limit, a crowd too young to have lost anybody is as good as a leak.
    """
    if came < 2:
        return -math.inf
    unit = max(watch_s, 1e-9)
    exposure = exposure_s / unit
    stay = min(stay_s / unit, exposure / left if left > 0 else math.inf)
    young = came * math.log(came) - came - left * math.log(stay) - exposure / stay
    return _growing(came, left, span_s / unit, exposure) - young


def _growing(came: int, left: float, span: float, exposure: float) -> float:
    """Log likelihood of arrivals at one rate since an onset, averaged over rates; few leave, as often as they do."""
    log = math.lgamma(came - 1) - (came - 1) * math.log(max(span, 1e-6)) - math.log(DECADES)
    return log + (left * math.log(left / exposure) - left if left > 0 and exposure > 0 else 0.0)
