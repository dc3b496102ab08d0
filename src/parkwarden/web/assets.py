"""Scripts and styles, under addresses that carry the hash of what is in them: kept by browsers for a year, and new at once when changed."""

from __future__ import annotations

import gzip
import hashlib
from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse, Response

from parkwarden.web.problems import NotFoundError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from starlette.requests import Request

_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
_FOREVER = "public, max-age=31536000, immutable"


class _Asset:
    def __init__(self, body: bytes, media_type: str) -> None:
        self.body = body
        self.media_type = media_type
        self.hash = hashlib.sha256(body).hexdigest()[:12]

    @cached_property
    def gzipped(self) -> bytes:
        return gzip.compress(self.body, 9, mtime=0)


class Assets:
    """All files of `web/static` that a browser may load, and those of the HTML report as `report/...`, read once."""

    def __init__(self) -> None:
        self._files: dict[str, _Asset] = {}
        self._read(files("parkwarden.web").joinpath("static"), "")
        self._read(files("parkwarden.report").joinpath("static"), "report/")

    def url(self, name: str) -> str:
        """Where `base.css` or `vendor/htmx.min.js` is. Raises KeyError for a file that is not there: a mistake in a template."""
        return f"/static/{self._files[name].hash}/{name}"

    async def answer(self, request: Request) -> Response:
        """GET /static/{hash}/{name}. An old hash gets what is there now, unkept: a page from before an update still works."""
        asset = self._files.get(request.path_params["name"])
        if asset is None:
            raise NotFoundError("no-such-file", "there is no such script or style", hint="reload the page")
        current = request.path_params["hash"] == asset.hash
        headers = {"Cache-Control": _FOREVER if current else "no-cache", "Vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(asset.gzipped, media_type=asset.media_type, headers={**headers, "Content-Encoding": "gzip"})
        return Response(asset.body, media_type=asset.media_type, headers=headers)

    async def icon(self, _request: Request) -> Response:
        """GET /favicon.ico: browsers ask for it beside what is no page of ours (/metrics)."""
        return RedirectResponse(self.url("icon.svg"), 301)

    def _read(self, folder: Traversable, prefix: str) -> None:
        for entry in folder.iterdir():
            if entry.is_dir():
                self._read(entry, f"{prefix}{entry.name}/")
            elif media_type := _TYPES.get(entry.name.rpartition(".")[2]):
                self._files[prefix + entry.name] = _Asset(entry.read_bytes(), media_type)
