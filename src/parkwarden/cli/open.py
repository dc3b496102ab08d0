"""`parkwarden open`: files as a page, without a watch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parkwarden.cli.options import Modules

if TYPE_CHECKING:
    from parkwarden.run.board.opened import OpenedFiles

PAGES = (
    "parkwarden.web.status",
    "parkwarden.web.live",
    "parkwarden.web.login",
    "parkwarden.web.api.openapi",
    "parkwarden.web.pages.explore",
    "parkwarden.web.pages.trace",
)
"""Pages that make sense without a fleet; with recordings there are all."""


def command(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE|DIR]...",
            help="Dumps, profiles, traces, crash logs, archives or folders of them, - for standard input; recordings are shown as "
            "a fleet. Without any, drop files on the page.",
        ),
    ] = None,
    listen: Annotated[
        str,
        typer.Option("--listen", metavar="HOST:PORT", help="Where the page answers; an address of this machine only."),
    ] = "127.0.0.1:0",
    browser: Annotated[bool, typer.Option("--browser", help="Open the page in a browser.")] = False,
    module: Modules = None,
    source: Annotated[
        Path | None,
        typer.Option("--source", metavar="DIR", help="Your source tree: the culprit's statement is shown from it."),
    ] = None,
) -> None:
    """Look at files in a browser: flame graphs, sites, leak paths, the difference of two dumps.

    Prints the page's address and serves it to this machine until Ctrl-C. Nothing is kept: what was read is in memory, redacted. More
    files can be dropped on the page.

    \b
    parkwarden open goroutine.txt
    parkwarden open before.txt after.txt heap.pb.gz --browser
    parkwarden open fleet.jsonl.zst
    """
    import time

    from parkwarden.cli.logs import set_up
    from parkwarden.cli.progress import progress
    from parkwarden.run.board.opened import open_files
    from parkwarden.run.diagnose import Options

    host, port = _address(listen)
    set_up("warning", "auto")
    with progress() as tell:
        opened = open_files(files or [], Options(modules=tuple(module or ()), source=source), time.time, tell)
    _serve(opened, host, port, browser)


def _address(listen: str) -> tuple[str, int]:
    """Host and port; only this machine's own addresses: nobody is asked for a token here."""
    from parkwarden.model.errors import UsageError
    from parkwarden.model.listening import is_loopback, split_listen

    try:
        host, port = split_listen(listen)
    except ValueError as error:
        raise UsageError("bad-listen", f"--listen {listen}: {error}", hint="127.0.0.1:0 takes any free port") from None
    if not is_loopback(host):
        raise UsageError(
            "not-this-machine",
            f"--listen {listen} would show these files to everybody who can reach it",
            hint="listen on 127.0.0.1; from elsewhere: ssh -L 8000:127.0.0.1:PORT",
        )
    return host, port


def _serve(opened: OpenedFiles, host: str, port: int, browser: bool) -> None:
    import asyncio
    import signal
    import time

    import uvloop
    from starlette.responses import RedirectResponse
    from starlette.routing import Route

    from parkwarden.collect.serve import bind, serve
    from parkwarden.web.access import Access
    from parkwarden.web.app import MODULES, application
    from parkwarden.web.desk import Desk

    async def main() -> None:
        sock = bind(host, port)
        sock.listen()  # before the address is told: who asks at once is heard
        try:
            desk = Desk(opened.host, Access(), time.time, title=_title(opened), bags=opened.bags)
            page = "/" if opened.recordings else f"/explore/{opened.bag.id}" if opened.bag else "/explore"
            app = application(desk, MODULES if opened.recordings else PAGES)
            if not opened.recordings:
                app.routes.append(Route("/", lambda _request: RedirectResponse(page)))
            where, number = sock.getsockname()[:2]
            url = f"http://{f'[{where}]' if ':' in where else where}:{number}{page}"
            _tell(opened, url)
            if browser:
                import webbrowser

                webbrowser.open(url)
            serving = asyncio.ensure_future(serve(app, sock))
            for ending in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(ending, serving.cancel)
            if opened.bag is None:
                await opened.bags.warm()
            try:
                await serving
            except asyncio.CancelledError:
                typer.echo("closed")
        finally:
            opened.bags.close()
            sock.close()

    uvloop.run(main())


def _title(opened: OpenedFiles) -> str:
    names = [Path(path).name for path in opened.recordings] + ([opened.bag.name] if opened.bag else [])
    return ", ".join(names)


def _tell(opened: OpenedFiles, url: str) -> None:
    """What was opened, and where: two lines."""
    from parkwarden.model import words
    from parkwarden.report.safe import inert
    from parkwarden.report.words import VERDICT_WORDS, overall

    bag = opened.bag
    if bag is not None:
        verdict, sentence = overall(bag.report)
        finding = (
            f"{VERDICT_WORDS[verdict]}: {inert(bag.report.findings[0].title) if bag.report.findings else sentence}"
        )
        many = f", {words.count(bag.goroutines)} goroutines" if bag.goroutines is not None else ""
        typer.echo(f"{inert(bag.name)}{many}, read in {words.seconds(bag.read_s)} | {finding}")
    if opened.recordings:
        typer.echo(f"{len(opened.host.engine.instances):,} instances of {inert(', '.join(opened.recordings))}")
    typer.echo(f"{url}  (Ctrl-C ends it)")  # echo flushes: whoever reads a pipe has the address now
