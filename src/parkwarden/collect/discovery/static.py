"""Targets that are written down: published once."""

from __future__ import annotations

from collections.abc import Sequence

from parkwarden.collect.discovery.addresses import BadAddressError, make_target
from parkwarden.collect.discovery.settings import StaticTargets
from parkwarden.collect.discovery.source import Publish, Source
from parkwarden.model.instance import Target


class Static(Source):
    """`targets:` of the configuration. An address that is none is a problem, the others are targets."""

    def __init__(self, groups: Sequence[StaticTargets], name: str = "static") -> None:
        super().__init__(name)
        self._groups = groups

    def read(self) -> list[Target]:
        found: list[Target] = []
        self.attempt()
        for i, group in enumerate(self._groups):
            for j, url in enumerate(group.urls):
                try:
                    found.append(make_target(url, group))
                except BadAddressError as error:
                    self.problem("bad-address", f"targets[{i}].urls[{j}]", f"address {error}")
        return found

    async def run(self, publish: Publish) -> None:
        self.published(publish, self.read())
