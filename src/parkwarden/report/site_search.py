"""The search over sites: `select file:price.go -label:tenant=acme age>=10m` -> which clusters match. Pure.

Terms are separated by blanks and must all match; `"chan receive"` is one term, a leading `-` turns a term around. A bare term is looked for
everywhere; `function:`, `file:`, `state:`, `label:` and `id:` look in one place. `age>=10m`, `age<1h`, `count>50` compare numbers: an age is
the longest wait that was told (Go tells waits from one minute on), and what is not told matches no comparison. Letters of either case are
the same. Raises UsageError `bad-search` for a comparison without a number; anything else is text.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from parkwarden.model import Cluster, UsageError

MAX_QUERY = 400
"""Characters of a search that are looked at: a long function's name with its package has 200."""
MAX_TERMS = 20
"""Terms of one search; each is looked for in every site's text."""

FIELDS = ("function", "file", "state", "label", "id")
"""Where a term may look, by its word before the colon."""

_TERM = re.compile(r'(-?)(?:([a-z]+):)?(?:"([^"]*)"|(\S+))')
_NUMBER = re.compile(r"(-?)(age|count)(>=|<=|>|<|=)(\S*)")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_MINUTES = {"s": 1 / 60, "m": 1.0, "h": 60.0, "d": 1440.0, "": 1.0}

SORTS: dict[str, Callable[[Cluster], tuple[float | str, ...]]] = {
    "count": lambda c: (c.count,),
    "change": lambda c: (c.count - c.counts[0] if c.counts else 0,),
    "age": lambda c: (c.wait_min[1] if c.wait_min else -1,),
    "depth": lambda c: (c.mean_depth,),
    "state": lambda c: (c.site.wait_reason.lower(),),
    "function": lambda c: (c.site.function.lower(), float(c.site.line)),
}
"""What a table of sites may be sorted by; with `-` before it greatest first."""


@dataclass(frozen=True, slots=True)
class Texts:
    """What a cluster says, in small letters, by FIELDS."""

    function: str
    file: str
    state: str
    label: str
    id: str

    @classmethod
    def of(cls, cluster: Cluster) -> Texts:
        site = cluster.site
        frames = [*site.frames, *((site.created_by,) if site.created_by else ())]
        return cls(
            function="\n".join([site.function, *(f.function for f in frames)]).lower(),
            file="\n".join([f"{site.file}:{site.line}", *(f"{f.file}:{f.line}" for f in frames)]).lower(),
            state="\n".join([site.wait_reason, *cluster.states]).lower(),
            label="\n".join([f"{key}={value}" for key, value in cluster.labels]).lower(),
            id="\n".join([site.id, *cluster.members]),
        )


Match = Callable[[Cluster, Texts], bool]


def parse(query: str) -> list[Match]:
    """The terms of a search, each a test of a cluster."""
    terms: list[Match] = []
    for found in _TERM.finditer(query[:MAX_QUERY].lower()):
        if len(terms) == MAX_TERMS:
            break
        whole = found[0]
        number = _NUMBER.fullmatch(whole)
        if number is not None:
            terms.append(_compared(number))
            continue
        minus, field, quoted, plain = found.groups()
        text = quoted if quoted is not None else plain
        if field and field not in FIELDS:
            field, text = None, f"{field}:{text}"  # `price.go:42`, a URL: text with a colon in it
        terms.append(_contains(field, text, wanted=not minus))
    return terms


def search(clusters: Sequence[Cluster], texts: Sequence[Texts], query: str, sort: str = "-count") -> list[Cluster]:
    """The clusters that match, sorted; of equals the one with more goroutines goes first. Raises UsageError."""
    terms = parse(query)
    found = [c for c, text in zip(clusters, texts, strict=True) if all(term(c, text) for term in terms)]
    return sorted_by(found, sort)


def sorted_by(clusters: Iterable[Cluster], sort: str) -> list[Cluster]:
    """Sorted by a word of SORTS, `-` before it for the greatest first. Raises UsageError `bad-sort`."""
    key = SORTS.get(sort.removeprefix("-"))
    if key is None:
        raise UsageError("bad-sort", f"cannot sort by {sort[:40]!r}", hint=f"sort by one of {', '.join(SORTS)}")
    ranked = sorted(clusters, key=lambda c: (-c.count, c.site.id))
    ranked.sort(key=key, reverse=sort.startswith("-"))
    return ranked


def _contains(field: str | None, text: str, *, wanted: bool) -> Match:
    fields = (field,) if field else FIELDS

    def match(_cluster: Cluster, texts: Texts) -> bool:
        return any(text in getattr(texts, name) for name in fields) is wanted

    return match


def _compared(number: re.Match[str]) -> Match:
    minus, what, sign, text = number.groups()
    value = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)([smhd]?)", text)
    if value is None or (what == "count" and value[2]):
        example = "age>=10m" if what == "age" else "count>50"
        raise UsageError("bad-search", f"{what}{sign}{text[:40]} compares with no number", hint=f"write {example}")
    limit = float(value[1]) * _MINUTES[value[2]]
    compare = _COMPARE[sign]

    def match(cluster: Cluster, _texts: Texts) -> bool:
        if what == "count":
            return compare(cluster.count, limit) is not bool(minus)
        return cluster.wait_min is not None and compare(cluster.wait_min[1], limit) is not bool(minus)

    return match
