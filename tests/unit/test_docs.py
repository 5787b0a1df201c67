"""The pages in docs/: their programs run, and their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from pipeline import Flow, State, task

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def programs(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_links_of_a_page_lead_somewhere(page: Path):
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if link.startswith("http"):
            continue
        target, _, anchor = link.partition("#")
        found = (page.parent / target).resolve() if target else page
        assert found.exists(), link
        assert not anchor or anchor in anchors(found), link


def test_each_page_is_in_the_index_and_in_the_readme():
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    index = (ROOT / "docs" / "README.md").read_text()
    readme = (ROOT / "README.md").read_text()
    assert not [name for name in pages if f"]({name})" not in index or f"](docs/{name})" not in readme]


def test_the_readme_is_read_in_ten_minutes():
    assert len((ROOT / "README.md").read_text().split()) <= 1800


def test_the_declarations_of_tasks_hold():
    space: dict = {"task": task}
    for program in programs("tasks.md"):
        exec(program, space)
    made = {name: space[name] for name in ("departures", "prices", "promo", "smoothed")}
    assert {name: found.name for name, found in made.items()} == dict(zip(made, made, strict=True))


def test_the_declarations_of_forecasts_hold():
    @task
    def humidity(entity):
        return 1.0

    @task
    def feels_like(entity):
        return 1.0

    flow = Flow("weather", [humidity, feels_like], state=State("cities"))
    declared = [program for program in programs("forecasts.md") if "with_forecasts" in program]
    space: dict = {"pd": pd, "DAYS": [], "SEATS": {}}
    assert len(declared) == 3
    for program in declared:
        exec(program, space | (found := {"flow": flow}), found)
        assert "feels_like_forecast" in found["flow"].tasks
        space |= found
