"""Where things are, and who may import whom: by the folders and the imports."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
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

TOP_LEVEL = {
    *PACKAGES,
    *("docker", "docs", "tests"),
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


def order() -> dict[str, list[tuple[str, ...]]]:
    """The floors of each package, lowest first, as CONTRIBUTING lists them."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    block = text.split("<!-- order:")[1].split("```")[1]
    found: dict[str, str] = {}
    for line in block.strip().splitlines():
        package, rest = re.fullmatch(r"(\w*) +(.+)", line).groups()
        found[package or list(found)[-1]] = found.get(package or list(found)[-1], "") + " " + rest
    return {
        package: [tuple(name.strip() for name in floor.split(",")) for floor in chain.split("->")]
        for package, chain in found.items()
    }


ORDER = order()
FLOORS = {
    f"{package}.{room.replace('/', '.')}": floor
    for package, floors in ORDER.items()
    for floor, rooms in enumerate(floors)
    for room in rooms
}


def room(name: str) -> str:
    """The folder or file of its package that a module lies in; the innermost one that the list names."""
    parts = name.split(".")
    for length in range(len(parts), 1, -1):
        if (found := ".".join(parts[:length])) in FLOORS:
            return found
    return ".".join(parts[:2])


def breaches(imported: dict[str, list[str]]) -> list[str]:
    """Imports inside one package that do not lead down: from a module -> what it imports."""
    return [
        f"{name} imports {other}"
        for name, others in imported.items()
        for other in others
        if other in MODULES
        and top(name) == top(other)
        and "." in name
        and room(name) != room(other)
        and not ("." in other and FLOORS.get(room(other), 99) < FLOORS.get(room(name), -1))
    ]


PURE = {"errors", "formatting", "lazy", "local_session", "flows", "environment", "settings"}


def test_packages_import_one_way():
    wrong = [
        f"{name} imports {other}"
        for name, others in IMPORTS.items()
        for other in others
        if top(other) in PACKAGES and top(other) not in (top(name), *PACKAGES[top(name)])
    ]
    assert not wrong


def test_nothing_but_the_tests_imports_the_tests():
    assert not [name for name, others in IMPORTS.items() if "tests" in map(top, others)]


def test_folders_import_only_what_stands_before_them():
    assert not breaches({name: others for name, others in IMPORTS.items() if not name.endswith("__main__")})


def test_the_list_names_every_folder_and_file():
    rooms = {room(name) for name in MODULES if "." in name and not name.endswith("__main__")}
    assert rooms == set(FLOORS)


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("pipeline.gate.units", "pipeline.waves.wave"),  # up
        ("pipeline.messaging.canvas", "pipeline.telemetry.logs"),  # across
        ("pipeline.flows.task", "pipeline"),  # the package's face, which loads what stands above
        ("forecasting.models.ridge", "forecasting.models.local.bank"),  # into a folder of its own folder
        ("ecs.templates.environment", "ecs.control.policy"),
    ],
)
def test_an_import_that_runs_up_or_across_is_a_breach(module: str, imported: str):
    assert {module, imported} <= MODULES.keys()
    assert breaches({module: [imported]}) == [f"{module} imports {imported}"]


def test_the_table_of_old_names_leads_to_modules_that_are_there():
    table = (ROOT / "CONTRIBUTING.md").read_text().split("## Where modules of 0.1.0 are now")[1]
    rows = re.findall(r"^\| `([\w.]+)` \| (?:`([\w.]+)`|gone) \|$", table, re.MULTILINE)
    assert len(rows) > 150
    assert not [new for _, new in rows if new and new not in MODULES]


def test_no_folder_is_a_drawer():
    sizes = Counter(path.parent.relative_to(ROOT) for path in MODULES.values() if path.name != "__init__.py")
    assert not {
        str(place): n for place, n in sizes.items() if n > 15 and place.name not in ("cli", "serving")
    }


def test_each_folder_says_what_lives_there():
    silent = [
        name
        for name, path in MODULES.items()
        if "." in name
        and path.name == "__init__.py"
        and "Begin with" not in (ast.get_docstring(ast.parse(path.read_text())) or "")
    ]
    assert not silent


def test_pure_modules_import_the_standard_library_only():
    # cronsim is pure Python over datetime, and reads schedules better than what we had of our own.
    allowed = {"pipeline", "cronsim", *sys.stdlib_module_names}
    foreign = [
        f"{name} imports {other}"
        for name, others in IMPORTS.items()
        for other in others
        if name.startswith("pipeline.") and name.split(".")[1] in PURE and top(other) not in allowed
    ]
    assert not foreign


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
