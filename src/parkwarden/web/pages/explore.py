"""/explore: goroutine dumps, profiles and traces that somebody opened: sites, flame graph, leak paths, and the difference of two looks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from parkwarden.model import Cluster, Kind, UsageError, Verdict, words
from parkwarden.report import flame
from parkwarden.report import words as told
from parkwarden.report.view import (
    Limits,
    Strings,
    cluster_view,
    finding_view,
    flame_view,
    frame_view,
    kind_of,
    paths_view,
    stack_view,
)
from parkwarden.run.board import dumps
from parkwarden.run.board.dumps import Difference, OpenedBag, Shown
from parkwarden.stacks.lock_holders import PASSED
from parkwarden.web.access import Role
from parkwarden.web.uploads import open_evidence, patiently, told_busy

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from parkwarden.report.top import Tops
    from parkwarden.web.desk import Desk

LIMITS = Limits()
"""What is cut where: as in the HTML report."""

PAGE = 50
"""Sites of one page of the table: two screens."""

TABLE = 40
"""Rows of the table that tells the flame graph in words, and functions of a profile."""


def routes(desk: Desk) -> list[BaseRoute]:
    async def index(request: Request) -> Response:
        digests = request.query_params.getlist("evidence")
        if digests:
            bag = await open_evidence(desk, digests)
            return RedirectResponse(f"/explore/{bag.id}", 303)
        return desk.page(
            request,
            "explore.html",
            bags=[_bag_row(bag) for bag in desk.bags],
            limits=_limits(),
            max_upload=dumps.MAX_UPLOAD_BYTES,
            upload_url=f"{request.base_url}api/v1/bags",
        )

    async def bag(request: Request) -> Response:
        opened = _opened(desk, request)
        look = opened.look(request.query_params.get("look", ""))
        others = _others(desk, opened)
        view = await asyncio.to_thread(lambda: _bag_view(opened, look, others) | _sites_view(opened, look, request))
        return desk.page(request, "explore_bag.html", **view)

    async def sites(request: Request) -> Response:
        opened = _opened(desk, request)
        look = opened.look(request.query_params.get("look", ""))
        view = await asyncio.to_thread(_sites_view, opened, look, request)
        return desk.page(request, "_explore_sites.html", bag=_bag_row(opened), **view)

    async def site(request: Request) -> Response:
        opened = _opened(desk, request)
        look = opened.look(request.query_params.get("look", ""))
        cluster = opened.site(request.path_params["site"], look)
        return desk.part(request, "explore_site.html", bag=_bag_row(opened), **_site_view(opened, cluster, look))

    async def diff(request: Request) -> Response:
        opened = _opened(desk, request)
        asked = request.query_params
        before = dumps.reference(desk.bags, opened, asked.get("from", ""), 0)
        after = dumps.reference(desk.bags, opened, asked.get("to", ""), -1)
        with told_busy():
            difference = await patiently(request, desk.bags.difference(before, after))
        others, offset = _others(desk, opened), _number(asked.get("offset", ""))
        view = await asyncio.to_thread(_diff_view, opened, difference, offset, others)
        return desk.page(request, "explore_diff.html", bag=_bag_row(opened), **view)

    async def forget(request: Request) -> Response:
        desk.require(request, Role.OPERATOR)
        desk.bags.drop(request.path_params["bag"])
        return RedirectResponse("/explore", 303)

    return [
        Route("/explore", index),
        Route("/explore/{bag}", bag),
        Route("/explore/{bag}/sites", sites),
        Route("/explore/{bag}/sites/{site}", site),
        Route("/explore/{bag}/diff", diff),
        Route("/explore/{bag}/forget", forget, methods=["POST"]),
    ]


def _opened(desk: Desk, request: Request) -> OpenedBag:
    return desk.bags.get(request.path_params["bag"])


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 8 else 0


def _limits() -> dict[str, str]:
    return {
        "file": words.size(dumps.MAX_FILE_BYTES),
        "upload": words.size(dumps.MAX_UPLOAD_BYTES),
        "bags": str(dumps.MAX_BAGS),
        "age": words.seconds(dumps.MAX_AGE_S),
    }


def _bag_row(bag: OpenedBag) -> dict[str, Any]:
    """What is told of a bag everywhere."""
    kinds: dict[str, int] = {}
    for artefact in bag.case.artefacts:
        kinds[str(artefact.kind)] = kinds.get(str(artefact.kind), 0) + 1
    worst = bag.report.findings[0] if bag.report.findings else None
    verdict = told.overall(bag.report)[0]
    unread = all(one.kind == Kind.UNKNOWN or (one.problems and not one.records) for one in bag.report.inputs)
    return {
        "id": bag.id,
        "name": bag.name,
        "opened_at": bag.opened_at,
        "origin": bag.origin,
        "files": len(bag.case.artefacts),
        "kinds": ", ".join(kind if n == 1 else f"{n} × {kind}" for kind, n in kinds.items()),
        "size": bag.size,
        "problems": sum(len(entry.problems) for entry in bag.report.inputs),
        "goroutines": bag.goroutines,
        "sites": len(bag.case.clusters),
        "looks": bag.looks,
        "read_s": bag.read_s,
        "pinned": bag.pinned,
        "verdict": str(worst.verdict) if worst else "",
        "title": told.title(worst) if worst else "",
        "outcome": "could not be read"
        if unread
        else "nothing wrong found"
        if verdict is Verdict.OK
        else "nothing found",
        "redacted": bag.report.redacted,
        "go": bag.case.build.go_version.removeprefix("go"),
    }


def _others(desk: Desk, bag: OpenedBag) -> list[dict[str, Any]]:
    """Other bags that a look may be compared with."""
    return [_bag_row(other) for other in desk.bags if other is not bag and other.looks]


def _bag_view(bag: OpenedBag, look: Shown | None, others: list[dict[str, Any]]) -> dict[str, Any]:
    """In a thread: a bag of thousands of sites takes tenths of a second."""
    worst, sentence = told.overall(bag.report)
    findings = [finding_view(f, LIMITS) for f in bag.report.findings[: LIMITS.findings]]
    graph = flame.build(bag.clusters(look), max_nodes=LIMITS.flame)
    return {
        "bag": _bag_row(bag),
        "look": look,
        "verdict": str(worst),
        "verdict_word": told.VERDICT_WORDS[worst],
        "verdict_sentence": sentence,
        "findings": findings,
        "findings_total": len(bag.report.findings),
        "inputs": bag.report.inputs[: LIMITS.inputs],
        "inputs_total": len(bag.report.inputs),
        "max_problems": LIMITS.problems,
        "others": others,
        "profiles": [
            {"name": artefact.name, "kind": str(artefact.kind), "columns": [_top_view(tops) for tops in columns]}
            for artefact, columns in bag.profiles(TABLE)
        ],
        "traces": list(bag.traces),
        **_graph_view(graph, bag.case.user_modules),
    }


def _graph_view(graph: flame.Flame, user_modules: Sequence[str]) -> dict[str, Any]:
    """A flame graph for the script, and as a table for who does not see it."""
    strings = Strings(LIMITS.name)
    data = flame_view(graph, user_modules, strings)
    total = max(1, graph.now[0])
    return {
        "graph": {"flame": data, "strings": strings.texts},
        "graph_left_out": graph.left_out,
        "graph_boxes": len(graph.parent),
        "graph_total": graph.now[0],
        "graph_compared": graph.compared,
        "graph_rows": [(name, now, now / total, before) for name, now, before in flame.functions(graph, TABLE)],
    }


def _top_view(tops: Tops) -> dict[str, Any]:
    def show(value: int) -> str:
        if tops.unit == "bytes":
            return words.size(value)
        return words.seconds(value / 1e9) if tops.unit == "nanoseconds" else words.count(value)

    most = max((abs(row.cum) for row in tops.rows), default=1) or 1
    return {
        "name": tops.name,
        "total": show(tops.total),
        "functions": tops.functions,
        "rows": [
            {
                "frame": frame_view(row.frame, LIMITS),
                "flat": show(row.flat),
                "flat_share": row.flat / (tops.total or 1),
                "cum": show(row.cum),
                "cum_share": row.cum / (tops.total or 1),
                "bar": round(100 * abs(row.flat) / most, 1),
                "rest": round(100 * max(0, abs(row.cum) - abs(row.flat)) / most, 1),
            }
            for row in tops.rows
        ],
    }


def _sites_view(bag: OpenedBag, look: Shown | None, request: Request) -> dict[str, Any]:
    """The table of sites as it was asked for; a search that makes no sense is told in its place, not as an error of the page."""
    asked = request.query_params
    query, sort = asked.get("q", ""), asked.get("sort", "") or "-count"
    wrong = ""
    try:
        found = bag.search(look, query, sort, _number(asked.get("offset", "")), PAGE)
    except UsageError as error:
        wrong = f"{error.message}: {error.hint}"
        found = bag.search(look, "", "-count", 0, PAGE)
    shown_look = "" if look is None else str(look.index)

    def address(**changed: str | int) -> str:
        parts = {"look": shown_look, "q": query, "sort": sort, "offset": 0} | changed
        return urlencode({key: value for key, value in parts.items() if value not in ("", 0)})

    peak = max((c.count for c in bag.clusters(look)), default=1) or 1
    return {
        "look": look,
        "query": query,
        "sort": sort,
        "wrong": wrong,
        "found": found,
        "rows": [cluster_view(cluster, bag.case, LIMITS, peak) for cluster in found.rows],
        "several": len(bag.case.looks) > 1 and (look is None or look.index > 0),
        "sort_links": {
            word: address(sort=_turned(word, sort)) for word in ("count", "change", "state", "function", "age")
        },
        "earlier": address(offset=max(0, found.offset - PAGE)) if found.offset else None,
        "later": address(offset=found.offset + PAGE) if found.offset + PAGE < found.found else None,
        "look_query": f"?look={shown_look}" if shown_look else "",
    }


def _turned(word: str, sort: str) -> str:
    """What a click on a column's head asks for: numbers greatest first, texts from A; the same again turns it around."""
    first = word if word in ("state", "function") else f"-{word}"
    if sort == first:
        return word if first.startswith("-") else f"-{word}"
    return first


def _site_view(bag: OpenedBag, cluster: Cluster, look: Shown | None) -> dict[str, Any]:
    finding = bag.told(cluster)
    holders = bag.holders(cluster, look)
    raw, left_out = bag.raw(cluster, look)
    strings = Strings(LIMITS.name)
    stack = stack_view(cluster, bag.case, strings, LIMITS)
    modules = bag.case.user_modules
    return {
        "look": look,
        "look_query": "" if look is None else f"?look={look.index}",
        "site": cluster_view(cluster, bag.case, LIMITS, max(1, cluster.count)),
        "count": cluster.count,
        "culprit": frame_view(finding.culprit, LIMITS) if finding.culprit else None,
        "traits": stack["t"],
        "labels": stack["l"],
        "frames": [
            {"kind": kind_of(frame.function, modules), **frame_view(frame, LIMITS)}
            for frame in cluster.site.frames[: LIMITS.frames]
        ],
        "frames_left_out": stack["more"],
        "holders": [
            {
                "id": holder.cluster.site.id,
                "count": holder.cluster.count,
                "frame": frame_view(holder.frame, LIMITS),
                "passed": holder.by == PASSED,
                "state": holder.cluster.site.wait_reason,
            }
            for holder in holders
        ],
        "raw": [
            {
                "count": one.count,
                "states": ", ".join(
                    f"{state} × {words.count(n)}" if len(one.states) > 1 else state for state, n in one.states
                ),
                "goids": ", ".join(map(str, one.goids)),
                "ids_left_out": max(0, one.count - len(one.goids)) if one.goids else 0,
                "wait_min": one.wait_min,
                "frames": [frame_view(frame, LIMITS) for frame in one.stack.frames[: LIMITS.frames]],
                "frames_left_out": max(0, len(one.stack.frames) - LIMITS.frames) + max(0, one.stack.elided),
                "created_by": frame_view(one.stack.created_by, LIMITS) if one.stack.created_by else None,
            }
            for one in raw
        ],
        "raw_left_out": left_out,
        **paths_view(finding, holders[0].frame if holders else None),
    }


def _diff_view(bag: OpenedBag, difference: Difference, offset: int, others: list[dict[str, Any]]) -> dict[str, Any]:
    """In a thread, as the bag's."""
    modules = tuple(dict.fromkeys((*difference.before[0].case.user_modules, *difference.after[0].case.user_modules)))
    graph = flame.build(difference.clusters, max_nodes=LIMITS.flame)
    graph.compared = True
    changes = difference.changes
    offset = min(offset, len(changes))
    ends = [(end[0].id, end[1].index) for end in (difference.before, difference.after)]

    def address(at: int) -> str:
        first, last = (f"{bag_id}:{index}" if bag_id != bag.id else str(index) for bag_id, index in ends)
        return urlencode({"from": first, "to": last} | ({"offset": at} if at else {}))

    most = max((max(c.counts) for c in changes), default=1) or 1
    return {
        "before": _end_view(difference.before, bag),
        "after": _end_view(difference.after, bag),
        "not_followed": difference.not_followed,
        "followed": not difference.not_followed,
        "rows": [
            {
                "id": change.cluster.site.id,
                "bag": (difference.after if change.counts[-1] else difference.before)[0].id,
                "look": (difference.after if change.counts[-1] else difference.before)[1].index,
                "before": change.counts[0],
                "after": change.counts[-1],
                "delta": change.delta,
                "stayed": change.stayed,
                "born": change.born,
                "died": change.died,
                "new": change.counts[0] == 0,
                "gone": change.counts[-1] == 0,
                "bar_before": round(100 * change.counts[0] / most, 2),
                "bar_after": round(100 * change.counts[-1] / most, 2),
                "row": cluster_view(change.cluster, bag.case, LIMITS, 1),
            }
            for change in changes[offset : offset + PAGE]
        ],
        "total": len(changes),
        "offset": offset,
        "grew": sum(c.delta > 0 for c in changes),
        "shrank": sum(c.delta < 0 for c in changes),
        "fresh": sum(c.counts[0] == 0 for c in changes),
        "gone": sum(c.counts[-1] == 0 for c in changes),
        "earlier": address(max(0, offset - PAGE)) if offset else None,
        "later": address(offset + PAGE) if offset + PAGE < len(changes) else None,
        "others": others,
        **_graph_view(graph, modules),
    }


def _end_view(end: tuple[OpenedBag, Shown], here: OpenedBag) -> dict[str, Any]:
    bag, look = end
    return {
        "text": str(look.index) if bag is here else f"{bag.id}:{look.index}",
        "bag": bag.name if bag is not here else "",
        "name": look.name,
        "at": look.at,
        "total": look.total,
    }
