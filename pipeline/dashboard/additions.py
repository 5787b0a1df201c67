"""What other packages add to the dashboard: pages, entries in its menu, and links on the page of an entity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from fastapi import APIRouter

from pipeline.dashboard.entities import EntityView
from pipeline.dashboard.pages import Pages
from pipeline.flows.discover import Flows
from pipeline.waves.runtime import Runtime

GROUP = "pipeline.dashboard"  # the entry points: functions (runtime, flows) -> an addition


@dataclass(frozen=True, slots=True)
class Link:
    """A link to a page."""

    text: str
    address: str


class Addition(Protocol):
    """The part of one package."""

    @property
    def package(self) -> str:
        """The package that has its templates, in a folder `templates`."""

    @property
    def menu(self) -> Mapping[str, str]:
        """What it adds to the menu: address -> text."""

    def router(self, pages: Pages) -> APIRouter:
        """Return the router of its addresses; `pages` knows its templates and those of the dashboard."""

    def links(self, entity: EntityView) -> Sequence[Link]:
        """Return its pages about an entity."""


class Add(Protocol):
    """Makes an addition."""

    def __call__(self, runtime: Runtime, flows: Flows) -> Addition:
        """Build an addition for a dashboard."""


def links(additions: Iterable[Addition], entity: EntityView) -> list[Link]:
    """Return the links of all additions on an entity's page."""
    return [link for one in additions for link in one.links(entity)]
