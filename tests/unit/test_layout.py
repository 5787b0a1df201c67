"""Where things are, and who may import whom: by the folders and the imports."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# A package may import those that are named beside it, and itself.
PACKAGES = {
    "pipeline": (),
    "forecasting": ("pipeline",),
    "tasks": ("forecasting", "pipeline"),
    "ecs": ("pipeline",),
}

# Inside `pipeline` a module may import its own layer and those above it: pure modules, storage, all others (what uses
# Celery), faces. A new module that is none of the others stands with those.
# fmt: off
PURE = {
    "alive", "calls", "cron", "discover", "durations", "entity", "environment", "errors", "flow", "heartbeat",
    "incidents", "kinds", "levels", "nearby", "pipe", "plan", "render", "settings", "state", "status",
    "supervise", "tally", "task", "units",
}
STORAGE = {
    "aclients", "clients", "codec", "embedded", "frames", "gate", "inputs", "rate", "records", "registry", "series",
    "shards", "store",
}
# fmt: on
FACES = {"cli", "dashboard", "web"}

TOP_LEVEL = {
    *PACKAGES,
    *("docker", "tests"),
    *("CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "pyproject.toml", "setup.cfg"),
}
LEFT_BY_TOOLS = ("build", "dist", "demo", "*.egg-info", "__pycache__")


def modules() -> dict[str, Path]:
    """Every module of the packages, by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(name: str, path: Path) -> Iterator[str]:
    """What a module imports, wherever in it: names of modules of ours, or as they are written."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            source = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                yield inner if inner in MODULES else source


IMPORTS = {name: sorted(set(imports(name, path))) for name, path in MODULES.items()}


def top(name: str) -> str:
    return name.partition(".")[0]


def layer(name: str) -> int:
    """The layer of a module of `pipeline`; the package itself stands behind all of them."""
    if name == "pipeline":
        return 4
    part = name.split(".")[1]
    return 0 if part in PURE else 1 if part in STORAGE else 3 if part in FACES else 2


PIPELINE = [name for name in MODULES if top(name) == "pipeline" and name != "pipeline"]


def test_packages_import_one_way():
    breaches = [
        f"{name} imports {other}"
        for name, others in IMPORTS.items()
        for other in others
        if top(other) in PACKAGES and top(other) not in (top(name), *PACKAGES[top(name)])
    ]
    assert not breaches


def test_nothing_but_the_tests_imports_the_tests():
    assert not [name for name, others in IMPORTS.items() if "tests" in map(top, others)]


def test_layers_of_the_engine_import_one_way():
    breaches = [
        f"{name} imports {other}"
        for name in PIPELINE
        for other in IMPORTS[name]
        if top(other) == "pipeline" and layer(other) > layer(name)
    ]
    assert not breaches


def test_pure_modules_import_the_standard_library_only():
    allowed = {"pipeline", *sys.stdlib_module_names}
    breaches = [
        f"{name} imports {other}"
        for name in PIPELINE
        for other in IMPORTS[name]
        if layer(name) == 0 and top(other) not in allowed
    ]
    assert not breaches


def test_defining_a_flow_loads_neither_celery_nor_redis():
    code = "import sys, pipeline; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert {"celery", "numpy", "redis"}.isdisjoint(loaded.stdout.split())


def test_only_canvas_builds_chords_and_chains():
    builders = {"celery.canvas", "celery.chain", "celery.chord", "celery.group"}
    written = {
        name
        for name, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        and builders & {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    }
    assert written <= {"pipeline.messaging.canvas"}


def test_imports_form_no_cycle():
    graph = {name: {other for other in others if other in MODULES} for name, others in IMPORTS.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_every_package_that_is_imported_is_declared():
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    requirements = [setup["options"]["install_requires"], *setup["options.extras_require"].values()]
    declared = {plain(name) for lines in requirements for name in re.findall(r"^[\w-]+", lines, re.MULTILINE)}
    providers = packages_distributions()
    foreign = (
        {top(other) for others in IMPORTS.values() for other in others}
        - sys.stdlib_module_names
        - set(PACKAGES)
    )
    assert not {name for name in foreign if declared.isdisjoint(map(plain, providers.get(name, [name])))}


def plain(name: str) -> str:
    """The name of a distribution as an index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_top_level_holds_only_what_is_allowed():
    entries = [path for path in ROOT.iterdir() if not path.name.startswith(".")]
    strays = [path.name for path in entries if not any(map(path.match, (*TOP_LEVEL, *LEFT_BY_TOOLS)))]
    assert not strays


def test_notebooks_live_in_their_folder():
    notebooks = (ROOT / "forecasting" / "notebooks").rglob("*.ipynb")
    assert {*ROOT.glob("[!.]*/**/*.ipynb"), *ROOT.glob("*.ipynb")} == set(notebooks)
