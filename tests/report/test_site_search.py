"""The search over sites: words, fields, comparisons, and what makes no sense."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.model import Cluster, Frame, Site, UsageError
from parkwarden.report.site_search import MAX_TERMS, SORTS, Texts, parse, search, sorted_by


def _cluster(number: int, function: str, state: str, count: int, wait: int | None = None, **labels: str) -> Cluster:
    site = Site(
        f"s{number:012x}",
        state,
        function,
        f"/src/shop/{number}.go",
        10 + number,
        (Frame(function, f"/src/shop/{number}.go", 10 + number),),
    )
    return Cluster(
        site=site,
        count=count,
        share=0.1,
        counts=(1, count),
        members=(site.id,),
        states=Counter({state: count}),
        wait_min=None if wait is None else (0, wait),
        labels=Counter(dict.fromkeys(labels.items(), 1)),
    )


SITES = [
    _cluster(1, "main.(*Pool).Get", "chan receive", 50, 12, tenant="acme"),
    _cluster(2, "net/http.(*conn).serve", "IO wait", 30),
    _cluster(3, "main.quote", "select", 7, 90, tenant="other"),
]


def found(query: str, sort: str = "-count") -> list[int]:
    texts = [Texts.of(site) for site in SITES]
    return [int(c.site.id[1:], 16) for c in search(SITES, texts, query, sort)]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", [1, 2, 3]),
        ("MAIN", [1, 3]),
        ("function:quote", [3]),
        ("file:2.go", [2]),
        ("3.go:13", [3]),
        ('state:"chan receive"', [1]),
        ("label:tenant=acme", [1]),
        ("-label:tenant", [2]),
        ("main -select", [1]),
        ("age>=10m", [1, 3]),
        ("age>=1h", [3]),
        ("age<1h", [1]),
        ("count>7 count<=50 main", [1]),
        ("id:s000000000002", [2]),
        ("https://nothing", []),
        ('- "', []),
    ],
)
def test_terms_must_all_match(query: str, numbers: list[int]) -> None:
    """Words anywhere, fields, quoted texts, turned around, compared; a colon in a text is a text."""
    assert found(query) == numbers


def test_what_was_not_told_matches_no_comparison() -> None:
    """A site without a wait is neither older nor younger than anything."""
    assert 2 not in found("age>=0m")
    assert 2 not in found("-age>=5m")


@pytest.mark.parametrize("query", ["age>=soon", "count>", "count>5m", "age>"])
def test_a_comparison_without_a_number_is_told(query: str) -> None:
    """The error says how to write one."""
    with pytest.raises(UsageError, match="no number") as error:
        found(query)
    assert error.value.code == "bad-search"
    assert ">" in error.value.hint


def test_sorting() -> None:
    """By numbers, by texts, turned around; an unknown word is told."""
    assert found("", "count") == [3, 2, 1]
    assert found("", "-age") == [3, 1, 2]
    assert found("", "function") == [1, 3, 2]
    assert found("", "-state") == [3, 2, 1]
    assert {len(sorted_by(SITES, sort)) for sort in SORTS} == {3}
    with pytest.raises(UsageError, match="cannot sort"):
        found("", "colour")


@given(st.text(max_size=600))
def test_any_text_is_a_search(query: str) -> None:
    """Whatever is typed is terms or a told error, never more than MAX_TERMS of them."""
    codes = set()
    terms = []
    try:
        terms = parse(query)
    except UsageError as error:
        codes = {error.code}
    assert codes <= {"bad-search"}
    assert len(terms) <= MAX_TERMS
    assert {term(site, Texts.of(site)) for term in terms for site in SITES} <= {True, False}
