"""History: closed journal hours as Parquet, read with SQL. Tables `readings`, `sites`, `findings`.

    readings/1700006400-1700010000-00000012.parquet      all readings of one segment: first and last time, segment's number
    readings/1700006400-1700010000-00000012.5m.parquet   the same in steps of 5 minutes, once it is older than `fine_hours`

DuckDB reads the journal's lines and writes Parquet by itself, outside the interpreter's lock: an hour of 1,000 instances takes three
seconds of one thread that hold nobody up. Every file is written beside its place, forced to the disk and renamed; converting a
segment twice gives the same file. What a crash leaves (a temporary file, a fine file beside its coarse one) the next `heal` removes.

A step of 5 minutes keeps the mean of gauges, the last value of counters, and the floor (least) of goroutines and of each site: a
slow leak is a rising floor. `n` says how many readings a row stands for. A site that was absent from a profile had 0 there.

Methods are safe from several threads (each query has a connection of its own, with its own limits); calls that write come from one.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from parkwarden.model.errors import ParkwardenError, StoreError
from parkwarden.store.journal import Segment
from parkwarden.store.settings import DAY_S, StoreSettings

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import numpy.typing as npt

    from parkwarden.model.finding import Finding

STEP_S = 300
"""The coarse step. A month of it is 8,640 points: what a picture can show."""
MAX_ROWS = 100_000
"""Rows one query gives back; a table in a page or a plot needs fewer, and Python would hold 50 MB for more."""
MAX_SQL = 100_000
"""Characters of a query."""
CONVERT_MEMORY = 192 << 20
"""DuckDB's memory while it sorts an hour; more instances spill to the disk."""
MAX_LINE = 17 << 20
"""Bytes of one line, a little above the recording format's own limit; DuckDB holds two buffers of it."""

_GAUGES = ("goroutines", "heap_alloc", "heap_inuse", "heap_idle", "heap_objects", "stack_inuse", "sys", "next_gc", "open_fds",
           "max_fds", "threads", "gomaxprocs", "rss", "mem_limit")  # fmt: skip
_COUNTERS = ("total_alloc", "num_gc", "requests_total")
_REALS = ("gc_cpu_s", "cpu_s", "last_gc_at", "gc_cpu_fraction", "start_time")
_WHO = {"instance": "VARCHAR", "service": "VARCHAR", "env": "VARCHAR", "version": "VARCHAR"}

TABLES: dict[str, dict[str, str]] = {
    "readings": {"t": "DOUBLE", **_WHO, **dict.fromkeys(_GAUGES + _COUNTERS, "BIGINT"), **dict.fromkeys(_REALS, "DOUBLE"),
                 "goroutines_floor": "BIGINT", "n": "INTEGER"},
    "sites": {"t": "DOUBLE", **_WHO, "site": "VARCHAR", "kind": "VARCHAR", "count": "DOUBLE", "floor": "BIGINT", "n": "INTEGER",
              "wait_reason": "VARCHAR", "function": "VARCHAR", "file": "VARCHAR", "line": "INTEGER"},
    "findings": {"t": "DOUBLE", **_WHO, "site": "VARCHAR", "code": "VARCHAR", "verdict": "VARCHAR", "confidence": "DOUBLE",
                 "title": "VARCHAR", "count": "BIGINT", "rate_per_min": "DOUBLE", "time_left_s": "DOUBLE", "function": "VARCHAR",
                 "file": "VARCHAR", "line": "INTEGER"},
}  # fmt: skip
"""Columns of each table; `t` and other times Unix seconds (`at` is a reserved word of DuckDB), sizes bytes. `kind` of a site's count: profile, census, leaked."""

_TIMED = "t BETWEEN -1e12 AND 1e12"
"""A time in seconds, as the recording format bounds it: one wild number must not cost the hour."""

_PLACE = ("wait_reason", "function", "file", "line")

_NAME = re.compile(r"(-?\d+)-(-?\d+)-(\d+)(\.5m)?\.parquet")


@dataclass(frozen=True, slots=True)
class Part:
    """One Parquet file: the times it spans, in whole seconds, and whether it is coarse."""

    path: Path
    since: int
    until: int
    number: int
    coarse: bool
    size: int


@dataclass(frozen=True, slots=True)
class Rows:
    """A query's answer. `cut` = there were more than MAX_ROWS."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Series:
    """One service over time, all its instances together; float64 columns of one length, NaN = not told."""

    t: npt.NDArray[np.float64]
    """Beginning of each step, Unix seconds."""
    total: dict[str, npt.NDArray[np.float64]]
    """Field -> sum over the instances of their means in the step."""
    largest: npt.NDArray[np.float64]
    """Goroutines of the instance that had the most."""
    instances: npt.NDArray[np.float64]
    """How many told of their goroutines."""


@dataclass(frozen=True, slots=True)
class SiteSteps:
    """Sites of one service over time, all its instances together: `counts` (sites, steps), NaN in steps nobody looked in."""

    t: npt.NDArray[np.float64]
    """Beginning of each step, Unix seconds, without holes."""
    sites: list[dict[str, Any]]
    """`site`, `wait_reason`, `function`, `file`, `line` of each row."""
    counts: npt.NDArray[np.float64]


def finding_line(at: float, finding: Finding) -> bytes:
    """A finding as a line for the journal of findings (a `Journal` in a folder of its own), which `convert_findings` reads."""
    site, left = finding.site, finding.time_left
    place = finding.culprit or site
    record = {
        "t": at,
        "instance": finding.instance or "",
        "service": finding.service or "",
        "env": finding.labels.get("env", ""),
        "version": finding.since_version or finding.labels.get("version", ""),
        "site": site.id if site else "",
        "code": finding.code,
        "verdict": finding.verdict.value,
        "confidence": finding.confidence,
        "title": finding.title,
        "count": finding.count,
        "rate_per_min": finding.rate_per_min,
        "time_left_s": left.seconds if left else None,
        "function": place.function if place else "",
        "file": place.file if place else "",
        "line": place.line if place else None,
    }
    try:
        return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:  # a lone surrogate in a name of the watched program
        safe = {
            key: value.encode(errors="replace").decode() if isinstance(value, str) else value
            for key, value in record.items()
        }
        return orjson.dumps(safe, option=orjson.OPT_APPEND_NEWLINE)


class History:
    """The Parquet files in `folder`. Nothing is touched before the first call; the writer calls `heal` once at its start."""

    def __init__(self, folder: str | Path, settings: StoreSettings | None = None) -> None:
        self.folder = Path(folder)
        self._settings = settings or StoreSettings()

    # ---- writing

    def heal(self) -> int:
        """Remove what a crash left behind; how many files."""
        gone = 0
        shutil.rmtree(self.folder / ".spill", ignore_errors=True)
        for table in TABLES:
            for path in list((self.folder / table).glob(".tmp-*")):
                path.unlink(missing_ok=True)
                gone += 1
            every = self.parts(table, healed=False)
            coarse = {part.number for part in every if part.coarse}
            for part in every:
                if not part.coarse and part.number in coarse:
                    part.path.unlink(missing_ok=True)
                    gone += 1
        return gone

    def convert(self, segment: Segment) -> int:
        """A closed segment of the journal of events -> `readings` and `sites`; rows written. Lines that are none are passed over.

        Raises StoreError (disk full, for one: try again later).
        """
        source = _source(segment.path)
        prepare = [statement.format(source=source) for statement in _WHO_AND_WHERE]
        queries = {"readings": _READINGS.format(source=source), "sites": _SITES.format(source=source)}
        return self._write(queries, segment.number, prepare)

    def convert_findings(self, segment: Segment) -> int:
        """A closed segment of the journal of findings -> `findings`; rows written."""
        columns = ", ".join(f"\"{name}\": '{kind}'" for name, kind in TABLES["findings"].items())
        query = f"SELECT * FROM {_read(segment.path, columns)} WHERE {_TIMED} ORDER BY service, t"
        return self._write({"findings": query}, segment.number)

    def upkeep(self, now: float) -> int:
        """Coarsen what is older than `fine_hours`, delete what is older than `history_days` or too much; files touched."""
        touched = 0
        for table, query in (("readings", _COARSE_READINGS), ("sites", _COARSE_SITES)):
            for part in self.parts(table):
                if not part.coarse and part.until < now - self._settings.fine_hours * 3600:
                    self._write({table: query.format(file=_quoted(part.path))}, part.number, coarsens=part)
                    part.path.unlink(missing_ok=True)
                    touched += 1
        every = sorted((part for table in TABLES for part in self.parts(table)), key=lambda part: part.until)
        total = sum(part.size for part in every)
        for part in every:
            if part.until < now - self._settings.history_days * DAY_S or total > self._settings.history_max_bytes:
                part.path.unlink(missing_ok=True)
                total -= part.size
                touched += 1
        return touched

    def parts(self, table: str, since: float = -1e18, until: float = 1e18, *, healed: bool = True) -> list[Part]:
        """Files of a table that may hold rows between the two times, oldest first."""
        found = []
        for path in (self.folder / table).glob("*.parquet"):
            match = _NAME.fullmatch(path.name)
            if match and int(match[1]) <= until and int(match[2]) >= since:
                try:
                    size = path.stat().st_size
                except OSError:
                    continue  # pruned at this moment
                found.append(Part(path, int(match[1]), int(match[2]), int(match[3]), bool(match[4]), size))
        if healed:  # a fine file whose coarse one is there already is about to go: its rows would count twice
            coarse = {part.number for part in found if part.coarse}
            found = [part for part in found if part.coarse or part.number not in coarse]
        return sorted(found, key=lambda part: (part.since, part.number))

    def _write(
        self, queries: Mapping[str, str], number: int, prepare: Sequence[str] = (), coarsens: Part | None = None
    ) -> int:
        """Each query's rows as one file of its table (no rows = no file); how many rows there were."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with _connection(CONVERT_MEMORY, self.folder / ".spill") as connection:
                connection.execute("SET preserve_insertion_order = false")
                # it takes the big side for the small one: lines have no statistics it could know better by
                connection.execute("SET disabled_optimizers = 'join_order,build_side_probe_side'")
                for statement in prepare:
                    connection.execute(statement)
                return sum(
                    _write_part(connection, self.folder / table, query, number, coarsens)
                    for table, query in queries.items()
                )
        except OSError as error:
            raise _write_error(error.strerror or str(error), self.folder) from error
        except _duckdb_error() as error:
            raise _write_error(str(error), self.folder) from error

    # ---- reading

    def readings(
        self, instance: str, since: float, until: float, fields: Sequence[str] = ("goroutines", "goroutines_floor")
    ) -> dict[str, npt.NDArray[np.float64]]:
        """Columns `t` and `fields` of one instance in time order, float64; NaN = not told. At most MAX_ROWS, the newest."""
        wrong = [field for field in fields if field not in TABLES["readings"] or TABLES["readings"][field] == "VARCHAR"]
        if wrong:
            raise StoreError("query-error", f"There is no number {wrong[0][:80]!r} in readings.")
        names = ["t", *fields]
        columns = ", ".join(f'"{name}"::DOUBLE AS "{name}"' for name in names)
        where = "instance = $instance AND t BETWEEN $since AND $until"
        query = (
            f"SELECT * FROM (SELECT {columns} FROM readings WHERE {where} ORDER BY t DESC LIMIT {MAX_ROWS}) ORDER BY t"
        )
        return self._columns(query, {"instance": instance, "since": since, "until": until}, ("readings",), names)

    def sites(self, instance: str, since: float, until: float, site: str | None = None) -> dict[str, npt.NDArray[Any]]:
        """Columns `t`, `site`, `kind`, `count`, `floor`, `function`, `file`, `line` of one instance (and one site)."""
        names = ["t", "site", "kind", "count", "floor", "function", "file", "line"]
        where = "instance = $instance AND t BETWEEN $since AND $until AND ($site IS NULL OR site = $site)"
        query = (
            f"SELECT * FROM (SELECT {', '.join(names)} FROM sites WHERE {where} ORDER BY t DESC LIMIT {MAX_ROWS})"
            " ORDER BY site, kind, t"
        )
        return self._columns(
            query, {"instance": instance, "since": since, "until": until, "site": site}, ("sites",), names
        )

    def service(
        self, services: Sequence[tuple[str, str]], since: float, until: float, step_s: float, fields: Sequence[str]
    ) -> Series:
        """Readings of all instances of these (service, env) in steps of `step_s`, oldest first; at most MAX_ROWS steps, the newest."""
        whose, values = _whose(services)
        values |= {"since": since, "until": until, "step": step_s}
        means = ", ".join(f'avg("{name}")::DOUBLE AS "{name}"' for name in fields)
        sums = ", ".join(f'sum("{name}") AS "{name}"' for name in fields)
        query = f"""
WITH steps AS (SELECT floor(t / $step) * $step AS step, instance, {means} FROM readings
               WHERE t BETWEEN $since AND $until AND ({whose}) GROUP BY 1, 2)
SELECT * FROM (SELECT step::DOUBLE AS t, {sums}, max(goroutines) AS largest, count(goroutines)::DOUBLE AS instances
               FROM steps GROUP BY step ORDER BY step DESC LIMIT {MAX_ROWS}) ORDER BY t"""
        names = ["t", *fields, "largest", "instances"]
        found = self._columns(query, values, ("readings",), names)
        return Series(found["t"], {name: found[name] for name in fields}, found["largest"], found["instances"])

    def service_sites(
        self, services: Sequence[tuple[str, str]], since: float, until: float, step_s: float, most: int
    ) -> SiteSteps:
        """Goroutines at the `most` largest sites of these (service, env): means over each instance's looks of a step, summed."""
        import numpy as np

        whose, values = _whose(services)
        values |= {"since": since, "until": until, "step": step_s, "most": most}
        place = ", ".join(f"any_value({name}) AS {name}" for name in _PLACE)
        query = f"""
WITH looks AS (SELECT * FROM sites WHERE t BETWEEN $since AND $until AND kind <> 'leaked' AND ({whose})),
number AS (SELECT instance, floor(t / $step) AS step, sum(n) AS looks
           FROM (SELECT DISTINCT instance, kind, t, n FROM looks) GROUP BY 1, 2),
means AS (SELECT site, step, sum(total / looks) AS count FROM
          (SELECT instance, site, floor(t / $step) AS step, sum(count * n) AS total FROM looks GROUP BY 1, 2, 3)
          JOIN number USING (instance, step) GROUP BY 1, 2),
largest AS (SELECT site FROM means GROUP BY site ORDER BY max(count) DESC, site LIMIT $most),
named AS (SELECT site, {place} FROM looks GROUP BY site)
SELECT step, NULL AS site, 0.0 AS count, {", ".join(f"NULL AS {name}" for name in _PLACE)} FROM (SELECT DISTINCT step FROM number)
UNION ALL SELECT step, site, count, {", ".join(_PLACE)} FROM means JOIN largest USING (site) JOIN named USING (site) ORDER BY site, step"""
        with self._limited(("sites",), since, until) as connection:
            rows = connection.execute(query, values).fetchall()
        looked = [int(row[0]) for row in rows if row[1] is None]
        if not looked:
            return SiteSteps(np.empty(0), [], np.empty((0, 0)))
        first, last = min(looked), max(looked)
        index: dict[str, int] = {}
        for row in rows:
            if row[1] is not None:
                index.setdefault(row[1], len(index))
        counts = np.full((len(index), last - first + 1), np.nan)
        counts[:, [step - first for step in looked]] = 0.0
        sites: list[dict[str, Any]] = [{} for _ in index]
        for step, site, count, *about in rows:
            if site is not None:
                counts[index[site], int(step) - first] = count
                sites[index[site]] = {"site": site, **dict(zip(_PLACE, about, strict=True))}
        times: npt.NDArray[np.float64] = np.arange(first, last + 1, dtype=np.float64) * step_s
        return SiteSteps(times, sites, counts)

    def query(self, sql: str) -> Rows:
        """One SELECT of the user's over `readings`, `sites` and `findings`: it can read nothing else and write nothing.

        Raises StoreError: `query-refused`, `query-error`, `query-timeout`, `query-memory`.
        """
        if len(sql) > MAX_SQL:
            raise StoreError("query-refused", f"The query is longer than {MAX_SQL:,} characters.")
        with self._limited(tuple(TABLES), -1e18, 1e18) as connection:
            import duckdb

            statements = connection.extract_statements(sql)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise StoreError(
                    "query-refused", "Only one SELECT can be asked.", hint="Tables: " + ", ".join(TABLES) + "."
                )
            cursor = connection.execute(statements[0])
            columns = tuple(column[0] for column in cursor.description or ())
            rows = cursor.fetchmany(MAX_ROWS + 1)
        return Rows(columns, rows[:MAX_ROWS], len(rows) > MAX_ROWS)

    def _columns(
        self, query: str, values: Mapping[str, Any], tables: tuple[str, ...], names: Sequence[str]
    ) -> dict[str, npt.NDArray[Any]]:
        import numpy as np

        with self._limited(tables, values["since"], values["until"]) as connection:
            found = connection.execute(query, dict(values)).fetchnumpy()
        return {
            name: np.ma.filled(found[name], np.nan) if found[name].dtype.kind == "f" else np.ma.getdata(found[name])
            for name in names
        }

    @contextmanager
    def _limited(self, tables: tuple[str, ...], since: float, until: float) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that sees the tables' files of that time and nothing else, with the settings' time and memory."""
        timeout_s = self._settings.query_timeout_s
        with _connection(self._settings.query_memory, None) as connection:
            late = threading.Timer(timeout_s, connection.interrupt)
            late.daemon = True
            late.start()
            try:
                files: list[str] = []
                for table in tables:
                    paths = [str(part.path) for part in self.parts(table, since, until)]
                    connection.execute(_view(table, paths))
                    files += paths
                connection.execute("SET allowed_paths = [" + ", ".join(map(_quoted, files)) + "]")
                connection.execute("SET enable_external_access = false")
                connection.execute("SET lock_configuration = true")
                yield connection
            except _duckdb_error() as error:
                raise _query_error(error, timeout_s) from error
            finally:
                late.cancel()
                late.join()


def _write_part(
    connection: duckdb.DuckDBPyConnection, folder: Path, query: str, number: int, coarsens: Part | None
) -> int:
    """The query's rows as a file in `folder` that is there wholly or not at all."""
    end = f"{number:08d}{'.5m' if coarsens else ''}.parquet"
    temporary = folder / f".tmp-{end}"
    folder.mkdir(exist_ok=True, mode=0o700)
    try:
        connection.execute(f"COPY ({query}) TO {_quoted(temporary)} (FORMAT parquet, COMPRESSION zstd)")
        count, since, until = connection.execute(
            f"SELECT count(*), floor(min(t))::BIGINT, ceil(max(t))::BIGINT FROM {_quoted(temporary)}"
        ).fetchall()[0]
        if count:
            if coarsens:  # steps begin before their first reading
                since, until = coarsens.since, coarsens.until
            _into_place(temporary, folder / f"{since}-{until}-{end}")
        return int(count)
    finally:
        temporary.unlink(missing_ok=True)


def _whose(services: Sequence[tuple[str, str]]) -> tuple[str, dict[str, Any]]:
    """A condition for these (service, env), and its parameters."""
    text = " OR ".join(f"(service = $s{i} AND env = $e{i})" for i in range(len(services))) or "false"
    return text, {f"{kind}{i}": name for i, key in enumerate(services) for kind, name in zip("se", key, strict=True)}


def _view(table: str, paths: list[str]) -> str:
    columns = TABLES[table]
    if not paths:
        empty = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in columns.items())
        return f"CREATE VIEW {table} AS SELECT {empty} WHERE false"
    return (
        f"CREATE VIEW {table} AS SELECT * FROM read_parquet([{', '.join(map(_quoted, paths))}], union_by_name = true)"
    )


@contextmanager
def _connection(memory: int, spill: Path | None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory with its limits; one thread: history must not take the watch's cores."""
    import duckdb

    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": 1,
        "memory_limit": f"{memory >> 10}KiB",
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "temp_directory": str(spill) if spill else "",
    }
    connection = duckdb.connect(":memory:", config=config)
    try:
        yield connection
    finally:
        connection.close()


def _duckdb_error() -> type[Exception]:
    import duckdb

    return duckdb.Error


def _query_error(error: Exception, timeout_s: float) -> ParkwardenError:
    import duckdb

    if isinstance(error, duckdb.InterruptException):
        return StoreError(
            "query-timeout",
            f"The query took longer than {timeout_s:g} s.",
            hint="Ask for a shorter time or fewer instances, or raise store.query_timeout_s.",
        )
    if isinstance(error, duckdb.OutOfMemoryException):
        return StoreError(
            "query-memory",
            "The query needs more memory than it may take.",
            hint="Ask for a shorter time or fewer instances, or raise store.query_memory.",
        )
    return StoreError("query-error", f"The query failed: {str(error)[:500]}")


def _write_error(text: str, folder: Path) -> StoreError:
    full = "No space left" in text or "disk" in text.lower()
    return StoreError(
        "disk-full" if full else "history-unwritable",
        f"History cannot be written: {text.splitlines()[0][:300]}",
        context=str(folder),
        hint="Make room on the disk (or lower store.history_days); the hour stays in the journal and is tried again.",
        passing=True,
    )


def _into_place(temporary: Path, final: Path) -> None:
    """The file on the disk first, then its name: whoever sees the name sees all of it, after a power cut too."""
    for path, then in ((temporary, final), (final.parent, None)):
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        if then is not None:
            os.replace(path, then)


def _quoted(text: str | Path) -> str:
    return "'" + str(text).replace("'", "''") + "'"


# ---- SQL

_LINE = {
    "t": "DOUBLE", "at": "DOUBLE", "v": "INTEGER", "instance": "VARCHAR", "labels": "JSON", "site": "JSON",
    "sites": "MAP(VARCHAR, BIGINT)", "census": "MAP(VARCHAR, BIGINT[])", "leaked": "MAP(VARCHAR, BIGINT)",
    **dict.fromkeys(_GAUGES + _COUNTERS, "BIGINT"), **dict.fromkeys(_REALS, "DOUBLE"),
}  # fmt: skip


def _read(path: Path, columns: str) -> str:
    name = _quoted(path)
    if any(mark in str(path) for mark in "*?["):  # DuckDB takes a name with these for a pattern: match each as itself
        name = _quoted(re.sub(r"([*?\[])", r"[\1]", str(path)))
    return (
        f"read_json({name}, format = 'newline_delimited', ignore_errors = true, maximum_object_size = {MAX_LINE},"
        f" columns = {{{columns}}})"
    )


def _source(path: Path) -> str:
    return _read(path, ", ".join(f"\"{name}\": '{kind}'" for name, kind in _LINE.items()))


_WHO_AND_WHERE = (
    """
CREATE TEMP TABLE headers AS SELECT v, instance, "at", labels, site FROM {source}
WHERE t IS NULL AND (v IS NOT NULL AND instance IS NOT NULL OR site IS NOT NULL)""",
    """
CREATE TEMP TABLE lives AS
SELECT instance AS who, labels->>'service' AS service, labels->>'env' AS env, labels->>'version' AS version,
  CASE WHEN row_number() OVER life = 1 THEN '-infinity'::DOUBLE ELSE "at" END AS since_at,
  coalesce(lead("at") OVER life, 'infinity'::DOUBLE) AS until_at
FROM headers WHERE v IS NOT NULL WINDOW life AS (PARTITION BY instance ORDER BY coalesce("at", '-infinity'::DOUBLE))""",
    """
CREATE TEMP TABLE places AS
SELECT site->>'id' AS id, any_value(site->>'wait_reason') AS wait_reason, any_value(site->>'function') AS function,
  any_value(site->>'file') AS file, any_value(TRY_CAST(site->>'line' AS INTEGER)) AS line
FROM headers WHERE site IS NOT NULL GROUP BY 1""",
)
"""Whose labels an instance had from when until when (the first ones also before), and what site ids stand for."""

_LABELLED = """coalesce(service, instance) AS service, coalesce(env, '') AS env, coalesce(version, '') AS version"""
_JOINED = "LEFT JOIN lives ON instance = who AND t >= since_at AND t < until_at"
_NUMBERS = ", ".join(_GAUGES + _COUNTERS + _REALS)

_READINGS = f"""
SELECT t, instance, {_LABELLED}, {_NUMBERS}, goroutines AS goroutines_floor, 1::INTEGER AS n
FROM (SELECT t, instance, {_NUMBERS} FROM {{source}}
      WHERE {_TIMED} AND instance IS NOT NULL AND coalesce({_NUMBERS}) IS NOT NULL) {_JOINED}
ORDER BY instance, t"""

_SITES = f"""
SELECT t, instance, {_LABELLED}, site, kind, count::DOUBLE AS count, count::BIGINT AS floor, 1::INTEGER AS n,
  coalesce(wait_reason, '') AS wait_reason, coalesce(function, '') AS function, coalesce(file, '') AS file, line
FROM (
  SELECT t, instance,
    CASE WHEN sites IS NOT NULL THEN 'profile' WHEN leaked IS NOT NULL THEN 'leaked' ELSE 'census' END AS kind,
    unnest(coalesce(map_keys(sites), map_keys(leaked), map_keys(census))) AS site,
    unnest(coalesce(map_values(sites), map_values(leaked), list_transform(map_values(census), lambda ids: len(ids)))) AS count
  FROM {{source}}
  WHERE {_TIMED} AND instance IS NOT NULL AND (sites IS NOT NULL OR leaked IS NOT NULL OR census IS NOT NULL)
) {_JOINED} LEFT JOIN places ON site = places.id
ORDER BY instance, site, kind, t"""

_COARSE_READINGS = f"""
SELECT floor(f.t / {STEP_S}) * {STEP_S} AS t, instance, service, env, version,
  {", ".join(f"round(avg({name}))::BIGINT AS {name}" for name in _GAUGES)},
  {", ".join(f"arg_max({name}, f.t) AS {name}" for name in _COUNTERS + _REALS)},
  min(goroutines_floor) AS goroutines_floor, sum(n)::INTEGER AS n
FROM {{file}} f GROUP BY floor(f.t / {STEP_S}), instance, service, env, version ORDER BY instance, 1"""

_COARSE_SITES = f"""
WITH steps AS (SELECT *, floor(t / {STEP_S}) * {STEP_S} AS step FROM {{file}}),
looks AS (SELECT instance, kind, step, count(DISTINCT t) AS looks FROM steps GROUP BY ALL)
SELECT step AS t, instance, any_value(service) AS service, any_value(env) AS env, arg_max(version, t) AS version, site, kind,
  sum(count) / any_value(looks) AS count,
  CASE WHEN count(*) < any_value(looks) THEN 0 ELSE min(floor) END AS floor, any_value(looks)::INTEGER AS n,
  any_value(wait_reason) AS wait_reason, any_value(function) AS function, any_value(file) AS file, any_value(line) AS line
FROM steps JOIN looks USING (instance, kind, step) GROUP BY step, instance, site, kind ORDER BY instance, site, kind, 1"""
