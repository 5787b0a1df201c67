"""Finding flows: from `PIPELINE_FLOWS=module[:flow],...`, from `-F`, or from a file."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

from pipeline.errors import FlowError, UnknownName, listed, near
from pipeline.flows.exits import no_exit
from pipeline.flows.flow import Flow
from pipeline.flows.makers import check_makers
from pipeline.flows.own_modules import clash_behind, prefer_own
from pipeline.flows.task import Task

_from_files: set[str] = set()  # names of the modules that were loaded from files


class Flows(Mapping[str, Flow]):
    """The flows that this process knows, by name."""

    def __init__(self, flows: Iterable[Flow], searched: Iterable[str] = ()) -> None:
        self._flows: dict[str, Flow] = {}
        self.searched = tuple(searched)
        for flow in flows:
            if self._flows.setdefault(flow.name, flow) is not flow:
                raise FlowError(
                    f"two flows are named {flow.name!r} in {listed(self.searched)}. A wave is found by its flow's "
                    "name: rename one."
                )
        check_makers(self._flows.values())

    def __getitem__(self, name: str) -> Flow:
        return self._flows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._flows)

    def __len__(self) -> int:
        return len(self._flows)

    def find(self, name: str) -> Flow:
        """Return the flow of that name. Raises UnknownName, which says where it was looked for."""
        if name in self._flows:
            return self._flows[name]
        if not self.searched:
            raise UnknownName(
                f"no flow {name!r}: no module was searched. Set PIPELINE_FLOWS=my_flows or give -F my_flows."
            )
        raise UnknownName(
            f"no flow {name!r} in {listed(self.searched)}.{near(name, self)} Found there: {listed(self)}."
        )

    def task(self, flow: str, task: str) -> Task | None:
        """Return a task of a flow, None where this process does not know one of the two."""
        found = self._flows.get(flow)
        return None if found is None else found.tasks.get(task)


def load_flows(names: Iterable[str]) -> Flows:
    """Import modules (or files ending in .py) and take the flows that they hold, or the named one of each.

    Modules are also looked for in the working folder. A file inside a package is imported as a module of it.

    Raises ClashError when a module of the user's is named pipeline, or hides a package of ours that is needed;
    FlowError when a module cannot be found or holds no flow, or when two flows make one pipe by different tasks;
    UnknownName when it does not hold the one that is named.
    """
    names = tuple(names)
    if names:
        _look_here()
        prefer_own(Path.cwd())
        set_up_django()
    flows: list[Flow] = []
    for entry in names:
        module_name, _, wanted = entry.partition(":")
        module = _import(module_name)
        flows += [f for f in _held(module, module_name, wanted) if f not in flows]
    return Flows(flows, names)


def _look_here() -> None:
    if not any(entry in ("", str(Path.cwd())) for entry in sys.path):
        sys.path.append(str(Path.cwd()))  # a console script does not look there


def set_up_django(environ: Mapping[str, str] | None = None) -> None:
    """Make Django's models usable where DJANGO_SETTINGS_MODULE is set, unless they are already.

    What the settings raise is raised on.
    """
    name = (os.environ if environ is None else environ).get("DJANGO_SETTINGS_MODULE")
    if not name or importlib.util.find_spec("django") is None:
        return
    if not importlib.import_module("django.apps").apps.ready:
        importlib.import_module("django").setup()


def _import(name: str) -> ModuleType:
    folder = _folder_of(name)
    prefer_own(folder)
    try:
        with no_exit(f"importing {name!r}"):
            return (
                _import_file(Path(name).resolve()) if name.endswith(".py") else importlib.import_module(name)
            )
    except ImportError as error:
        if (clash := clash_behind(error)) is not None:
            raise clash from error
        missing = error.name or ""
        if isinstance(error, ModuleNotFoundError) and missing.partition(".")[0] == name.partition(".")[0]:
            raise FlowError(
                f"cannot import {name!r}, which is to hold flows: there is no module {missing!r}. Run this in its "
                "folder, or put the folder on PYTHONPATH."
            ) from None
        raise


def _folder_of(name: str) -> Path | None:
    """Return the folder that holds a file (of a package, the package's) or the module of that name, if there is one."""
    if name.endswith(".py"):
        return _root_of(Path(name).resolve())
    if not all(part.isidentifier() for part in name.split(".")):
        raise FlowError(f"{name!r} is neither the name of a module nor a file that ends in .py.")
    spec = PathFinder.find_spec(name.partition(".")[0])
    if spec is None or spec.origin is None:
        return None
    found = Path(spec.origin).resolve().parent
    return found if spec.submodule_search_locations is None else found.parent


def _root_of(path: Path) -> Path:
    """Return the folder from which a file is imported: above the packages that hold it."""
    folder = path.parent
    while (folder / "__init__.py").is_file() and all(p.isidentifier() for p in (folder.name, path.stem)):
        folder = folder.parent
    return folder


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise FlowError(f"there is no file {path}, which is to hold flows.")
    root = _root_of(path)
    name = ".".join(path.relative_to(root).with_suffix("").parts)
    loaded = sys.modules.get(name)
    if loaded is not None and Path(getattr(loaded, "__file__", None) or "").resolve() == path:
        return loaded
    if name in sys.stdlib_module_names or (loaded is not None and name not in _from_files):
        raise FlowError(
            f"{path} has the name of another module that is in use. Rename it, for instance to my_{path.name}."
        )
    if str(root) not in sys.path:
        sys.path.append(str(root))
    _from_files.add(name)
    return _import_inside(name, root) if "." in name else _execute(name, path)


def _import_inside(name: str, root: Path) -> ModuleType:
    """Import a file of a package under its whole name, so that its relative imports work."""
    top = name.partition(".")[0]
    package = importlib.import_module(top)
    if str(root / top) not in map(os.path.realpath, package.__path__):
        raise FlowError(
            f"{root / top}, which holds {name}, has the name of another package that is in use, {package.__file__}. "
            f"Rename yours, for instance to my_{top}."
        )
    sys.modules.pop(name, None)
    return importlib.import_module(name)


def _execute(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _held(module: ModuleType, name: str, wanted: str) -> list[Flow]:
    found = {key: value for key, value in vars(module).items() if isinstance(value, Flow)}
    if not wanted:
        if not found:
            raise FlowError(f"{name!r} holds no flow. Give it one: flow = Flow('name', [tasks]).")
        return list({id(flow): flow for flow in found.values()}.values())
    chosen = [flow for key, flow in found.items() if wanted in (key, flow.name)]
    if not chosen:
        known = {*found, *(flow.name for flow in found.values())}
        raise UnknownName(f"no flow {wanted!r} in {name}.{near(wanted, known)} Found there: {listed(known)}.")
    return chosen[:1]
