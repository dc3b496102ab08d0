"""/api/v1/bags: what the explorer shows. A bag is files that were opened together; sites are as in `parkwarden stacks --format json`."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import Field

from parkwarden.report import flame, words
from parkwarden.report.json import changes_json, clusters_to_json, raw_stacks_json, report_to_json
from parkwarden.report.site_search import MAX_QUERY, SORTS
from parkwarden.run.board.dumps import MAX_FILES, MAX_RAW, OpenedBag, Shown, reference
from parkwarden.web.api.openapi import Asked, Call, Operation, Paged, Reply
from parkwarden.web.uploads import FILE_FIELD, MODIFIED_FIELD, open_evidence, patiently, receive_upload, told_busy

if TYPE_CHECKING:
    from parkwarden.run.board.dumps import Difference

BAGS_SCHEMA = "parkwarden.bags/1"
RAW_SCHEMA = "parkwarden.raw-stacks/1"
FLAME_SCHEMA = "parkwarden.flame/1"
DIFFERENCE_SCHEMA = "parkwarden.difference/1"

MAX_LOOK = 7
"""Digits of a look's number."""
MAX_REFERENCE = 40
"""Characters of a look of another bag: its id, a colon, a number."""

FORM = {
    "type": "object",
    "required": [FILE_FIELD],
    "properties": {
        FILE_FIELD: {
            "type": "array",
            "minItems": 1,
            "maxItems": MAX_FILES,
            "items": {"type": "string", "format": "binary"},
            "description": "The files; they are taken to be of one process.",
        },
        MODIFIED_FIELD: {
            "type": "array",
            "items": {"type": "number"},
            "description": "When each was last changed, in milliseconds since 1970: puts looks in order that tell no time.",
        },
    },
}


class AtLook(Asked):
    """Which look of the bag."""

    look: str = Field(
        "", max_length=MAX_LOOK, pattern="^[0-9]*$", description="Its number from 0; without it the last."
    )


class Sites(Paged):
    """Which sites, in which order."""

    look: str = Field(
        "", max_length=MAX_LOOK, pattern="^[0-9]*$", description="Its number from 0; without it the last."
    )
    q: str = Field(
        "",
        max_length=MAX_QUERY,
        description="Words anywhere, or function: file: state: label: id:, age>=10m, count>50, -word.",
    )
    sort: str = Field(
        "-count", max_length=20, description=f"One of {', '.join(SORTS)}; with - before it greatest first."
    )


_FROM = Field(
    "", max_length=MAX_REFERENCE, description="A look's number, or BAG:NUMBER; without it the first.", alias="from"
)
_TO = Field("", max_length=MAX_REFERENCE, description="A look's number, or BAG:NUMBER; without it the last.")


class Ends(Asked):
    """Two looks."""

    before: str = _FROM
    to: str = _TO


class PagedEnds(Paged):
    """Two looks, and which part of the sites."""

    before: str = _FROM
    to: str = _TO


class FromEvidence(Asked):
    """Evidence to open together."""

    digests: list[str] = Field(min_length=1, max_length=20, description="Of items that GET /evidence lists.")


async def list_bags(call: Call) -> Reply:
    rows = list(call.desk.bags)
    return Reply(_bags(list(call.cut(rows))), total=len(rows))


async def get_bag(call: Call) -> Reply:
    return Reply(_bags([_bag(call)]))


async def create_bag(call: Call) -> Reply:
    return Reply(_bags([await receive_upload(call.desk, call.request)]), status=201)


async def create_from_evidence(call: Call) -> Reply:
    asked: FromEvidence = call.body
    return Reply(_bags([await open_evidence(call.desk, asked.digests)]), status=201)


async def delete_bag(call: Call) -> Reply:
    told = _bags([_bag(call)])
    call.desk.bags.drop(call.path("bag"))
    return Reply(told)


async def get_report(call: Call) -> Reply:
    return Reply(report_to_json(_bag(call).report))


async def list_sites(call: Call) -> Reply:
    asked: Sites = call.query
    bag = _bag(call)
    look = bag.look(asked.look)
    found = await asyncio.to_thread(bag.search, look, asked.q, asked.sort, asked.offset, asked.limit)
    return Reply(_stacks(bag, look, found.rows), total=found.found)


async def get_site(call: Call) -> Reply:
    bag = _bag(call)
    look = bag.look(call.query.look)
    return Reply(_stacks(bag, look, [bag.site(call.path("site"), look)]))


async def list_raw(call: Call) -> Reply:
    bag = _bag(call)
    look = bag.look(call.query.look)
    cluster = bag.site(call.path("site"), look)
    raw, left_out = bag.raw(cluster, look, MAX_RAW)
    head = json.dumps({"schema": RAW_SCHEMA, "site": cluster.site.id, "left_out": left_out})
    return Reply(f'{head[:-1]}, "stacks": {raw_stacks_json(raw)}}}')


async def get_flame(call: Call) -> Reply:
    bag = _bag(call)
    clusters = bag.clusters(bag.look(call.query.look))
    return Reply(_flame(await asyncio.to_thread(flame.build, clusters)))


async def get_difference(call: Call) -> Reply:
    asked: PagedEnds = call.query
    difference = await _difference(call, asked.before, asked.to)
    told = {
        "schema": DIFFERENCE_SCHEMA,
        "before": _end(*difference.before),
        "after": _end(*difference.after),
        "followed": not difference.not_followed,
        "not_followed": difference.not_followed,
    }
    rows = changes_json(call.cut(difference.changes))
    return Reply(f'{json.dumps(told, allow_nan=False)[:-1]}, "changes": {rows}}}', total=len(difference.changes))


async def get_difference_flame(call: Call) -> Reply:
    asked: Ends = call.query
    difference = await _difference(call, asked.before, asked.to)
    graph = await asyncio.to_thread(flame.build, difference.clusters)
    graph.compared = True
    return Reply(_flame(graph))


def _bag(call: Call) -> OpenedBag:
    return call.desk.bags.get(call.path("bag"))


async def _difference(call: Call, first: str, last: str) -> Difference:
    bag = _bag(call)
    ends = reference(call.desk.bags, bag, first, 0), reference(call.desk.bags, bag, last, -1)
    with told_busy():
        return await patiently(call.request, call.desk.bags.difference(*ends))


def _bags(bags: list[OpenedBag]) -> dict[str, Any]:
    return {"schema": BAGS_SCHEMA, "bags": [_told(bag) for bag in bags]}


def _told(bag: OpenedBag) -> dict[str, Any]:
    worst = bag.report.findings[0] if bag.report.findings else None
    return {
        "id": bag.id,
        "name": bag.name,
        "origin": bag.origin,
        "opened_at": bag.opened_at,
        "read_s": round(bag.read_s, 6),
        "bytes": bag.size,
        "files": [
            {
                "name": one.name,
                "kind": str(one.kind),
                "bytes": one.bytes,
                "records": one.records,
                "problems": len(one.problems),
            }
            for one in bag.report.inputs
        ],
        "looks": [
            {"look": look.index, "name": look.name, "kind": look.kind, "at": look.at, "goroutines": look.total}
            for look in bag.looks
        ],
        "sites": len(bag.case.clusters),
        "verdict": str(words.overall(bag.report)[0]),
        "title": worst.title if worst else "",
        "redacted": bag.report.redacted,
    }


def _stacks(bag: OpenedBag, look: Shown | None, rows: list[Any]) -> str:
    looks = bag.case.looks if look is None else bag.case.looks[: look.index + 1]
    return clusters_to_json(replace(bag.case, clusters=rows, looks=looks), bag.report.redacted)


def _end(bag: OpenedBag, look: Shown) -> dict[str, Any]:
    return {"bag": bag.id, "look": look.index, "name": look.name, "at": look.at, "goroutines": look.total}


def _flame(graph: flame.Flame) -> dict[str, Any]:
    return {
        "schema": FLAME_SCHEMA,
        "names": graph.names,
        "parent": graph.parent,
        "name": graph.name,
        "now": graph.now,
        "before": graph.before if graph.compared else None,
        "left_out": graph.left_out,
    }


_BAG = {"bag": "The bag's id."}
_SITE = {**_BAG, "site": "The site's id."}

OPERATIONS = (
    Operation(method="GET", path="/bags", id="listBags", summary="What is open in the explorer, newest first.", family="bags", answer=list_bags, query=Paged, schema="bags-1"),
    Operation(method="POST", path="/bags", id="createBag", summary="Open files: they are read, judged and kept in memory for some hours.", family="bags", answer=create_bag, form=FORM, schema="bags-1", status=201),
    Operation(method="POST", path="/bags/evidence", id="createBagOfEvidence", summary="Open items of the evidence store together.", family="bags", answer=create_from_evidence, body=FromEvidence, schema="bags-1", status=201),
    Operation(method="GET", path="/bags/{bag}", id="getBag", summary="One bag.", family="bags", answer=get_bag, parts=_BAG, schema="bags-1"),
    Operation(method="DELETE", path="/bags/{bag}", id="deleteBag", summary="Forget a bag.", family="bags", answer=delete_bag, parts=_BAG, schema="bags-1"),
    Operation(method="GET", path="/bags/{bag}/report", id="getBagReport", summary="What was found in it, as `parkwarden diagnose` tells it.", family="bags", answer=get_report, parts=_BAG, schema="report-1"),
    Operation(method="GET", path="/bags/{bag}/sites", id="listBagSites", summary="Sites that match a search.", family="bags", answer=list_sites, parts=_BAG, query=Sites, schema="stacks-1"),
    Operation(method="GET", path="/bags/{bag}/sites/{site}", id="getBagSite", summary="One site.", family="bags", answer=get_site, parts=_SITE, query=AtLook, schema="stacks-1"),
    Operation(method="GET", path="/bags/{bag}/sites/{site}/raw", id="listBagSiteRawStacks", summary="The raw stacks behind a site.", family="bags", answer=list_raw, parts=_SITE, query=AtLook, schema="raw-stacks-1"),
    Operation(method="GET", path="/bags/{bag}/flame", id="getBagFlame", summary="The flame graph of a look, in columns.", family="bags", answer=get_flame, parts=_BAG, query=AtLook, schema="flame-1"),
    Operation(method="GET", path="/bags/{bag}/difference", id="getBagDifference", summary="What became of every site between two looks, new ones first.", family="bags", answer=get_difference, parts=_BAG, query=PagedEnds, schema="difference-1"),
    Operation(method="GET", path="/bags/{bag}/difference/flame", id="getBagDifferenceFlame", summary="The flame graph of two looks, in columns.", family="bags", answer=get_difference_flame, parts=_BAG, query=Ends, schema="flame-1"),
)  # fmt: skip
