"""`parkwarden watch`: look after a fleet until told to stop."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from parkwarden.run.config import Config
    from parkwarden.run.headlines import Headline


class WatchFormat(StrEnum):
    TEXT = "text"
    JSON = "json"


GLANCE_S = 1.0
"""Between two looks of the line at the terminal's foot."""

_STYLES = {
    "target": "blue",
    "suspicion": "yellow",
    "capture": "cyan",
    "finding": "bold red",
    "incident": "bold magenta",
    "delivery": "green",
    "trouble": "red",
    "recovered": "green",
    "info": "dim",
}


def command(
    urls: Annotated[
        list[str] | None,
        typer.Argument(metavar="[URL...]", help="Services to watch, by their debug port: http://host:6060."),
    ] = None,
    config_file: Annotated[
        Path | None,
        typer.Option("-c", "--config", metavar="FILE", help="Configuration: targets, rules, alerts, store."),
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen",
            metavar="HOST:PORT",
            help="Where our pages, /metrics and health answer (default 127.0.0.1:9870).",
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Where state, history and evidence are kept.")
    ] = None,
    watch_format: Annotated[
        WatchFormat, typer.Option("--format", help="Headlines for people or as JSON lines.")
    ] = WatchFormat.TEXT,
    webhook: Annotated[
        list[str] | None,
        typer.Option("--webhook", metavar="URL", help="Tell incidents to this URL as well (JSON, POST)."),
    ] = None,
) -> None:
    """Watch services, say which line leaks, how long until the limit, and alert.

    Every 5 s the cheap numbers, every minute a goroutine profile, every 5 minutes a census (a 200 ms trace); closer looks only on
    suspicion and within budgets. State is kept in DIR (default parkwarden-data): stopped or killed, it goes on where it was.

    \b
    parkwarden watch http://localhost:6060
    parkwarden watch -c parkwarden.yaml
    parkwarden watch http://localhost:6060 --webhook http://localhost:9000/alert
    """
    from parkwarden.cli.logs import set_up
    from parkwarden.model.errors import UsageError
    from parkwarden.run.config import from_urls, load

    if not urls and config_file is None:
        raise UsageError("nothing-to-watch", "there is nothing to watch", hint="give a URL, or -c parkwarden.yaml")
    config = load(config_file) if config_file else from_urls(urls or [])
    if not urls and not config.targets and not config.discovery.any and not config.streams:
        raise UsageError(
            "nothing-to-watch",
            f"{config_file} names no targets",
            hint="give it targets, a discovery, a Prometheus or a receiver (docs/configuration.md), or a URL beside -c",
        )
    if config_file and urls:
        config = replace(config, targets=(*config.targets, *from_urls(urls).targets))
    config = _overridden(config, listen, data, webhook or [])
    set_up(config.log.level, config.log.format)
    kept = f" -c {config_file}" if config_file else f" --data {data}" if data else ""
    _watch(config, watch_format, kept)


def _overridden(config: Config, listen: str | None, data: Path | None, webhooks: list[str]) -> Config:
    """The command line's word before the file's."""
    from parkwarden.act.settings import WebhookSettings

    if listen is not None:
        config = replace(config, web=replace(config.web, listen=listen))
    if data is not None:
        config = replace(config, store=replace(config.store, folder=str(data)))
    if webhooks:
        hooks = {f"webhook-{n}": WebhookSettings(url=url) for n, url in enumerate(webhooks, 1)}
        channels = replace(config.channels, webhook={**config.channels.webhook, **hooks})
        asked = (*config.alert.channels, *hooks) if config.alert.channels or config.alert.routes else ()
        config = replace(config, channels=channels, alert=replace(config.alert, channels=asked))
    _check(config)
    return config


def _check(config: Config) -> None:
    """What a file is refused for, the command line is refused for too."""
    from parkwarden.act.settings import problems
    from parkwarden.model.errors import UsageError
    from parkwarden.model.listening import is_loopback

    try:
        host = config.web.host
    except ValueError as error:
        hint = "--listen 127.0.0.1:0 takes any free port"
        raise UsageError("bad-listen", f"--listen {config.web.listen}: {error}", hint=hint) from None
    if not is_loopback(host) and not config.web.everybody:
        raise UsageError(
            "token-needed",
            f"listening on {host} would show our pages to everybody who can reach it",
            hint="set web.token or web.tokens in the configuration ({env: NAME} or {file: PATH}), or listen on 127.0.0.1",
        )
    for found in problems(config.channels, config.alert):
        where = "--webhook" if found.where.startswith("channels.webhook.webhook-") else found.where
        raise UsageError(
            found.code, f"{where}: {found.text}", hint="docs/configuration.md#channels says what a channel may be"
        )


def _watch(config: Config, watch_format: WatchFormat, kept: str) -> None:
    """`kept` is the option by which other commands find this watch's store."""
    import asyncio
    import signal
    from contextlib import nullcontext

    import structlog
    import uvloop
    from rich.console import Console
    from rich.live import Live

    from parkwarden.collect.serve import bind, serve
    from parkwarden.model.finding import Exit
    from parkwarden.model.safe import inert
    from parkwarden.run.board.watching import WatchHost
    from parkwarden.run.watch import Part, Watch
    from parkwarden.web.access import Access
    from parkwarden.web.app import application
    from parkwarden.web.desk import Desk

    log = structlog.get_logger()
    console = Console(highlight=False, soft_wrap=True)
    at_foot = Live(console=console, auto_refresh=False, transient=True)
    stopped_by: list[signal.Signals] = []

    async def main() -> None:
        sock = bind(config.web.host, config.web.port)

        async def pages() -> None:
            await serve(app, sock, config.web.cert_file, config.web.key_file)

        def tell(headline: Headline) -> None:
            try:
                _print(console, headline, watch_format)
            except BrokenPipeError:
                raise
            except OSError as error:  # a full disk under our output costs lines, not the watch
                log.warning("a headline could not be written", error=error.strerror)

        async def glance() -> None:
            from rich.text import Text

            while True:
                at_foot.update(Text(f"  {inert(watch.at_a_glance())}", style="dim", no_wrap=True), refresh=True)
                await asyncio.sleep(GLANCE_S)

        parts: dict[str, Part] = {"pages": pages}
        if watch_format is WatchFormat.TEXT and console.is_interactive:
            parts["glance"] = glance
        watch = Watch(config, tell=tell, parts=parts)
        app = application(Desk(WatchHost(watch), Access(config.web.everybody), watch.clock.now))
        task = asyncio.ensure_future(watch.run())

        def stop(number: signal.Signals) -> None:
            stopped_by.append(number)
            task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop, number)
        host, port = sock.getsockname()[:2]
        scheme = "https" if config.web.cert_file else "http"
        watch.headlines.info(
            watch.clock.now(),
            f"our own pages: {scheme}://{host}:{port}/ and /metrics /healthz /readyz | all is kept in {config.store.folder}",
            port=port,
        )
        try:
            with at_foot if "glance" in parts else nullcontext():
                await task
        except asyncio.CancelledError:
            if not stopped_by:
                raise
            now = watch.clock.now()
            watch.headlines.info(now, f"stopped {watch.account()}")
            written = watch.unwritten() or "everything is written down"
            watch.headlines.info(
                now, f"{written} | next: parkwarden incidents list{kept}, parkwarden evidence list{kept}"
            )
        finally:
            sock.close()

    uvloop.run(main())
    if signal.SIGINT in stopped_by:
        raise typer.Exit(int(Exit.INTERRUPTED))


def _print(console: Console, headline: Headline, watch_format: WatchFormat) -> None:
    import json
    from datetime import UTC, datetime

    from rich.table import Table
    from rich.text import Text

    from parkwarden.model.safe import inert

    when = datetime.fromtimestamp(headline.at, UTC)
    if watch_format is WatchFormat.JSON:
        print(json.dumps(headline.record(), default=str), flush=True)
        return
    cells = [
        Text(f"{when:%H:%M:%S}", "dim"),
        Text(f"{headline.kind:<9}", _STYLES.get(headline.kind, "")),
        Text(inert(headline.text, 600)),
    ]
    if not console.is_terminal:  # whoever reads a file or a pipe wants a line to be a line
        console.print(Text(" ").join(cells))
        return
    hanging = Table.grid(padding=(0, 1, 0, 0))
    for cell in cells:
        hanging.add_column(no_wrap=cell is not cells[-1])
    hanging.add_row(*cells)
    console.print(hanging, soft_wrap=False)
