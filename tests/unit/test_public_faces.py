"""What a user imports: the packages' own names, and nothing deeper."""

from __future__ import annotations

import ast
import inspect
import json
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from pipeline.errors import MissingExtra
from pipeline.lazy import public

ROOT = Path(__file__).parents[2]
FACES = ("pipeline", "forecasting", "tasks", "ecs")
PUBLIC = {package: frozenset(import_module(package).__all__) for package in FACES}
NAMES = [(package, name) for package, names in PUBLIC.items() for name in sorted(names)]
# Modules that a user names as such: what tests need, the Celery app, the shipped flows and their data.
MODULES = {"pipeline.app", "pipeline.fixtures", "pipeline.testing", "tasks.delays", "tasks.flights"}

TEXTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NOTEBOOKS = sorted((ROOT / "forecasting" / "notebooks").glob("*.ipynb"))
FLOWS = [
    *(ROOT / "docker" / "flows").glob("*.py"),
    *(ROOT / "tests").glob("**/flows/*.py"),
    *(ROOT / "tests").glob("**/*flows.py"),
    *(ROOT / "tests" / "docker" / "branch").glob("*.py"),
    ROOT / "tasks" / "delays.py",
]
FLOWS = [path for path in FLOWS if not path.name.startswith("test_")]


def sources(path: Path) -> Iterator[str]:
    """The Python that a text, a notebook or a module shows."""
    text = path.read_text()
    if path.suffix == ".md":
        yield from re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    elif path.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        yield "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    else:
        yield text


def deep(code: str, own: str | None = None) -> list[str]:
    """What some code imports that is not public; a module of the package `own` may look into that one."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if "." in alias.name]
        elif isinstance(node, ast.ImportFrom) and node.module in PUBLIC:
            names = (alias.name for alias in node.names)
            found += [f"{node.module}.{name}" for name in names if name not in PUBLIC[node.module]]
        elif isinstance(node, ast.ImportFrom):
            found.append(node.module or "")
    return [
        name
        for name in found
        if name.partition(".")[0] in FACES and name not in MODULES and name.partition(".")[0] != own
    ]


@pytest.mark.parametrize("path", [*TEXTS, *NOTEBOOKS, *FLOWS], ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_user_reads_imports_nothing_deeper(path: Path):
    own = path.relative_to(ROOT).parts[0]
    assert not [name for code in sources(path) for name in deep(code, own if path.suffix == ".py" else None)]


@pytest.mark.parametrize(
    "code",
    [
        "from pipeline.flows.flow import Flow",
        "import forecasting.models.naive",
        "from forecasting import models",
        "from pipeline import Flwo",
    ],
)
def test_a_deep_import_is_seen(code: str):
    assert deep(code)


def test_a_public_import_is_none():
    assert not deep(
        "from pipeline import Flow\nfrom pipeline.testing import run_wave\nfrom tasks import delays"
    )


@pytest.mark.parametrize(("package", "name"), NAMES)
def test_a_public_name_is_there_and_documented(package: str, name: str):
    found = getattr(import_module(package), name)
    assert found.__name__ == name
    assert inspect.getdoc(found)


@pytest.mark.parametrize("package", FACES)
def test_editors_see_what_runs(package: str):
    module = import_module(package)
    tree = ast.parse(Path(module.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    seen = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    table = ast.literal_eval(block.orelse[0].value.args[1])
    loaded = {name: at.partition(" ")[0] for at, names in table.items() for name in names.split()}
    assert seen == loaded
    assert sorted(module.__all__) == sorted(loaded) == dir(module)


@pytest.mark.parametrize("package", FACES)
def test_the_docstring_names_all_that_is_public(package: str):
    words = set(re.findall(r"\w+", import_module(package).__doc__))
    assert {name for name in PUBLIC[package] if name not in words and f"{name}s" not in words} == set()


def test_no_public_name_is_taken_by_a_submodule():
    """Importing `pipeline.task`, were there one, would put it in the place of the decorator."""
    inside = {
        f"{package}.{found.name}"
        for package in FACES
        for found in pkgutil.iter_modules(import_module(package).__path__)
    }
    assert inside.isdisjoint(f"{package}.{name}" for package, name in NAMES)


def test_names_stay_what_they_are_when_all_modules_are_loaded():
    code = f"""
import pkgutil, sys
from importlib import import_module
names = {NAMES!r}
before = [getattr(import_module(package), name) for package, name in names]
for package in {FACES!r}:
    for found in pkgutil.walk_packages(import_module(package).__path__, package + "."):
        if not found.name.endswith(("__main__", "with_parent")):  # these act when they are loaded
            import_module(found.name)
changed = [each for each, was in zip(names, before) if getattr(import_module(each[0]), each[1]) is not was]
assert not changed, changed
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize(
    ("code", "unloaded"),
    [
        ("import pipeline, forecasting, tasks, ecs", {"celery", "numpy", "redis"}),
        ("from pipeline import Flow, State, task, PipelineError", {"celery", "numpy", "redis"}),
        ("from tasks import command", {"celery", "httpx", "pandas", "redis", "sqlalchemy"}),
        ("from forecasting import read_forecast, NoForecast", {"pandas", "scipy", "xgboost"}),
        ("from forecasting import Panel, Backtest", {"matplotlib", "sklearn", "xgboost"}),
    ],
)
def test_a_name_loads_only_what_it_needs(code: str, unloaded: set[str]):
    script = f"import sys; {code}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert unloaded.isdisjoint(loaded.stdout.split())


def test_an_unknown_name_is_answered_with_near_ones():
    with pytest.raises(AttributeError) as caught:
        import_module("pipeline").submit_waves  # noqa: B018
    assert (
        str(caught.value) == "module 'pipeline' has no attribute 'submit_waves'. Did you mean 'submit_wave'?"
    )
    with pytest.raises(AttributeError) as caught:
        import_module("ecs").zzz  # noqa: B018
    assert str(caught.value) == "module 'ecs' has no attribute 'zzz'."


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (
            "xgboost|from forecasting import GlobalForecaster",
            "forecasting.GlobalForecaster needs xgboost[forecasting]",
        ),
        (
            "pandas|from forecasting import with_forecasts",
            "forecasting.with_forecasts needs pandas[forecasting]",
        ),
        (
            "matplotlib|from forecasting import draw_backtest",
            "forecasting.draw_backtest needs matplotlib[pictures]",
        ),
        ("httpx|import tasks; tasks.http_json", "tasks.http_json needs httpx[tasks]"),
    ],
)
def test_a_name_whose_extra_is_missing_says_which(code: str, text: str):
    package, _, statement = code.partition("|")
    what, _, extra = text.partition("[")
    script = f"import sys; sys.modules[{package!r}] = None; {statement}"
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.stderr.splitlines()[-1] == (
        f"pipeline.errors.MissingExtra: {what}. Install it: pip install 'celery-waves[{extra}'."
    )


def test_a_module_that_is_missing_for_another_reason_stays_as_it_is():
    load, _ = public("tests", {"tests.nowhere": "one", "tests.nowhere_else [x]": "two"})
    with pytest.raises(ModuleNotFoundError, match=r"tests\.nowhere'"):
        load("one")
    with pytest.raises(MissingExtra):
        load("two")
