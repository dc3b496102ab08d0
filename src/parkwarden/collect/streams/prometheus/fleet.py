"""Answers in columns -> readings by instance: which series is whose, what is new, what a reading holds.

    fleet.take("at", answer, times)      # first the scrape times: who is there, and when each was read
    fleet.take("goroutines", answer, times)
    for instance, reading in fleet.told(): ...

The scrape times (`timestamp(go_goroutines)`) say who is there: each label set is an instance, the other metrics of the same label set
are its numbers, found by the hash of the labels. Only whom no hash knows is read label by label. What is summed on the server (requests)
or labelled with more (Go's version) comes by its `id_labels`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from parkwarden.collect.discovery.addresses import clean_labels
from parkwarden.collect.streams.prometheus.settings import PrometheusSource
from parkwarden.formats.prometheus_api import ApiAnswer
from parkwarden.formats.runtime_names import FLOATS, NO_LIMIT
from parkwarden.model.artefact import Reading
from parkwarden.model.instance import Instance
from parkwarden.model.safe import inert

MAX_ID = 512
"""Characters of an id: what a recording takes."""
SPARE = 1.25
"""Rows and hashes kept beyond those of the last tick before all is made anew: what a day of deploys leaves behind."""
MAX_VALUE = 2.0**63
"""Whole numbers from here on are none of Go's."""
ENV_LABELS = ("env", "environment", "deployment_environment")
VERSION_LABELS = ("version", "app_kubernetes_io_version", "app_version")

PIECE = 2_000
"""Readings made at a time: some milliseconds."""

UNKNOWN, NOBODY, DOUBLE = -1, -2, -3
"""Rows of label sets that are nobody's: not seen yet (or of a metric whose instance has no `go_goroutines`), without an id, of an id that another has."""

Rows: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]


def identity(labels: Mapping[str, str], id_labels: Sequence[str], more: Mapping[str, str]) -> Instance | None:
    """Who a label set is; None where it lacks one of the `id_labels`. `more` are labels that it need not have itself."""
    parts = [labels.get(name, "") for name in id_labels]
    name = inert("/".join(parts), 2 * MAX_ID)
    if not all(parts) or len(name) > MAX_ID:
        return None
    own = {key: value for key, value in labels.items() if not key.startswith("__")}
    if not own.get("service") and own.get("job"):
        own["service"] = own["job"]
    for wanted, names in (("env", ENV_LABELS), ("version", VERSION_LABELS)):
        found = next((own[n] for n in names if own.get(n)), "")
        if found:
            own[wanted] = found
    kept, _lost = clean_labels({**more, **own})
    return Instance(id=name, labels=kept, address=labels.get("instance", ""))


class Fleet:
    """See the module. `points` counts what is left out; `known(id)`: whether somebody's past need not be filled in. One tick at a time."""

    def __init__(self, settings: PrometheusSource, points: Counter[str], known: Callable[[str], bool]) -> None:
        self._settings = settings
        self._points = points
        self._known = known
        self._hashes: dict[int, int] = {}
        """Hash of a label set -> row, or NOBODY. Doubles are looked at anew whenever anything changes: the other may have gone."""
        self._sorted: tuple[Rows, Rows] | None = None
        self._seen: dict[str, tuple[Rows, Rows]] = {}
        """Question -> the hashes of its last answer, and their rows: servers answer in the same order each time."""
        self._rows: dict[str, int] = {}
        self._owners: dict[int, int] = {}
        """Row -> the hash whose row it is."""
        self._times: list[float] = []
        self._columns: dict[str, Floats] = {}
        self.instances: list[Instance] = []
        self._last: Floats = np.empty(0)
        """Row -> time of its last reading told."""
        self.doubles = 0
        """Label sets of the last tick whose id another one has."""
        self.versions: dict[int, str] = {}
        """Row -> Go's version."""

    def __len__(self) -> int:
        return len(self.instances)

    def begin(self, times: list[float]) -> None:
        """A new tick at these times (one, or the steps of a range)."""
        self._times = times
        self._columns = {}
        if "at" in self._seen and len(self._hashes) > SPARE * len(self._seen["at"][0]) + 1_000:
            self._forget_the_gone()

    def take(self, field: str, answer: ApiAnswer) -> None:
        """The values of one field, by exact label set; the first to be taken is "at", whose values are the scrape times."""
        rows = self._rows_of(field, answer)
        column = self._columns[field] = np.full((len(self._times), len(self.instances)), np.nan)
        at = rows[np.searchsorted(answer.firsts, np.arange(len(answer.values)), "right") - 1] if len(rows) else rows
        if len(self._times) == 1:
            step = np.zeros(len(at), np.int64)
        else:
            every = self._times[1] - self._times[0]
            step = np.rint((answer.times - self._times[0]) / every).astype(np.int64)
        fits = (at >= 0) & (step >= 0) & (step < len(self._times))
        column[step[fits], at[fits]] = answer.values[fits]

    def take_by_id(self, field: str, answer: ApiAnswer) -> None:
        """The values of a field whose series carry other labels: each by its `id_labels`. A version (`go_version`) is in the label."""
        known = self._seen.get(field)
        if known is None or not np.array_equal(known[0], answer.hashes):
            rows = np.full(len(answer.hashes), -1, np.int64)
            for i in range(len(rows)):
                labels = answer.labels(i)
                who = identity(labels, self._settings.id_labels, self._settings.labels)
                rows[i] = row = self._rows.get(who.id, -1) if who is not None else -1
                if field == "go_version" and row >= 0:
                    self.versions[row] = labels.get("version", "")[:64]
            self._seen[field] = answer.hashes, rows
        else:
            rows = known[1]
        if field == "go_version":
            return
        column = self._columns[field] = np.full((len(self._times), len(self.instances)), np.nan)
        last = len(self._times) - 1
        mine = rows >= 0
        column[last, rows[mine]] = answer.values[answer.firsts[:-1]][mine]

    def told(self) -> Iterator[tuple[Instance, float, Reading]]:
        """(instance, time, reading) of everybody who was read since the last tick, in the order of the times."""
        whole = {name: _usable(name, column) for name, column in self._columns.items() if name != "at"}
        for step in range(len(self._times)):
            times = self._columns["at"][step]
            new = np.flatnonzero(times > self._last[: len(times)])
            self._last[new] = times[new]
            yield from self._readings(new, times, {name: column[step] for name, column in whole.items()})

    def _readings(
        self, rows: Rows, times: Floats, values: dict[str, Floats]
    ) -> Iterator[tuple[Instance, float, Reading]]:
        names = list(values)
        told = np.array([~np.isnan(values[name][rows]) for name in names]).reshape(len(names), len(rows))
        # nearly all tell the same: one pass over each set of fields that somebody tells
        weights = (1 << np.arange(len(names), dtype=np.int64))[:, None]
        shapes = (told * weights).sum(axis=0)
        for shape in np.unique(shapes):
            here = [name for i, name in enumerate(names) if int(shape) >> i & 1]
            alike = rows[shapes == shape]
            for at in range(0, len(alike), PIECE):
                yield from self._alike(alike[at : at + PIECE], times, {name: values[name] for name in here})

    def _alike(self, rows: Rows, times: Floats, values: dict[str, Floats]) -> Iterator[tuple[Instance, float, Reading]]:
        """Readings that tell the same fields, all of them."""
        numbers = [(c[rows] if n in FLOATS else c[rows].astype(np.int64)).tolist() for n, c in values.items()]
        versions, instances = self.versions, self.instances
        self._points["taken"] += len(rows) * len(values)
        for row, at, *told in zip(rows.tolist(), times[rows].tolist(), *numbers, strict=True):
            reading = dict(zip(values, told, strict=True))
            if row in versions:
                reading["go_version"] = versions[row]
            yield instances[row], at, Reading.of(reading)

    def _rows_of(self, field: str, answer: ApiAnswer) -> Rows:
        hashes = answer.hashes
        seen = self._seen.get(field)
        if seen is not None and np.array_equal(seen[0], hashes):
            rows = seen[1]
        else:
            rows = self._found(hashes)
            if field == "at":
                self._meet(answer, rows)
            self._seen[field] = hashes, rows
        if field != "at":
            self._points["no-instance"] += int((rows < 0).sum())
        return rows

    def _meet(self, answer: ApiAnswer, rows: Rows) -> None:
        """Who is there changed: give rows to label sets that are seen for the first time."""
        self._seen.clear()
        present = set(rows[rows >= 0].tolist())
        before = len(self.instances)
        for i in np.flatnonzero(rows == UNKNOWN).tolist():
            rows[i] = row = self._new(answer.labels(i), present)
            if row == DOUBLE:
                continue
            key = int(answer.hashes[i])
            self._hashes[key] = row
            if row >= 0:
                before_it = self._owners.get(row, key)
                if before_it != key:  # what is left of the label set that had the row is no longer its
                    self._hashes.pop(before_it, None)
                self._owners[row] = key
        self._sorted = None
        self.doubles = int((rows == DOUBLE).sum())
        # the past of those who are known already is not told again
        fresh = [self._times[-1] if self._known(one.id) else -np.inf for one in self.instances[before:]]
        self._last = np.concatenate((self._last, np.array(fresh, np.float64)))

    def _found(self, hashes: Rows) -> Rows:
        """The row of each hash; UNKNOWN where there is none."""
        if self._sorted is None:
            keys = np.fromiter(self._hashes.keys(), np.int64, len(self._hashes))
            order = np.argsort(keys)
            rows = np.fromiter(self._hashes.values(), np.int64, len(keys))
            self._sorted = keys[order], rows[order]
        keys, rows = self._sorted
        if not len(keys):
            return np.full(len(hashes), UNKNOWN, np.int64)
        at = np.minimum(np.searchsorted(keys, hashes), len(keys) - 1)
        return np.where(keys[at] == hashes, rows[at], UNKNOWN)

    def _new(self, labels: dict[str, str], present: set[int]) -> int:
        """The row of a label set that is seen for the first time: a new instance's, or its instance's with other labels now."""
        who = identity(labels, self._settings.id_labels, self._settings.labels)
        if who is None:
            return NOBODY
        row = self._rows.get(who.id)
        if row is None:
            row = self._rows[who.id] = len(self.instances)
            self.instances.append(who)
        elif row in present:
            return DOUBLE
        else:
            self.instances[row] = who
        present.add(row)
        return row

    def _forget_the_gone(self) -> None:
        """Keep the rows and hashes of the last tick only."""
        hashes, rows = self._seen["at"]
        kept = np.unique(rows[rows >= 0])
        place = {int(old): new for new, old in enumerate(kept)}
        self._hashes = {
            int(h): place.get(int(row), NOBODY) for h, row in zip(hashes, rows, strict=True) if row != DOUBLE
        }
        self.instances = [self.instances[old] for old in place]
        self._rows = {one.id: row for row, one in enumerate(self.instances)}
        self._owners = {row: key for key, row in self._hashes.items() if row >= 0}
        self._last = self._last[kept]
        self.versions = {place[row]: told for row, told in self.versions.items() if row in place}
        self._seen.clear()
        self._sorted = None


def _usable(field: str, column: Floats) -> Floats:
    """A column with NaN for what is no number of that field."""
    least_wrong = NO_LIMIT if field == "mem_limit" else np.inf if field in FLOATS else MAX_VALUE
    return np.where((column >= 0) & (column < least_wrong), column, np.nan)
