"""The collector at work on one service until standard input ends; then what it did, as JSON. For bench/load.py."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys

from parkwarden.collect.fleet import Collector, CollectSettings
from parkwarden.model.instance import Target


async def watch(url: str, settings: CollectSettings) -> dict[str, object]:
    events: dict[str, int] = {}

    def emit(event: object) -> None:
        name = type(event).__name__
        events[name] = events.get(name, 0) + 1

    collector = Collector(settings, emit, lambda _capture: None)
    collector.set_targets([Target(id="shop", url=url)])
    task = asyncio.create_task(collector.run())
    await asyncio.to_thread(sys.stdin.read)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return {"events": events}


def main() -> None:
    known = {field.name for field in dataclasses.fields(CollectSettings)}
    told = {key: value for key, value in json.loads(sys.argv[2]).items() if key in known}
    print(json.dumps(asyncio.run(watch(sys.argv[1], CollectSettings(**told)))))


if __name__ == "__main__":
    main()
