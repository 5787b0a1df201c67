"""Finding flows: from `PIPELINE_FLOWS=module[:flow],...`, from `-F`, or from a file."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

from pipeline.errors import ClashError, FlowError, UnknownName, listed, near
from pipeline.flow import Flow
from pipeline.task import Task

_SHIPPED = ("tasks", "forecasting", "ecs")
_HOME = Path(__file__).resolve().parent.parent


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

    def __getitem__(self, name: str) -> Flow:
        return self._flows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._flows)

    def __len__(self) -> int:
        return len(self._flows)

    def find(self, name: str) -> Flow:
        """Give the flow of that name. Raises UnknownName, which says where it was looked for."""
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
        """Give a task of a flow, None where this process does not know one of the two."""
        found = self._flows.get(flow)
        return None if found is None else found.tasks.get(task)


def load_flows(names: Iterable[str]) -> Flows:
    """Import modules (or files ending in .py) and take the flows that they hold, or the named one of each.

    Raises ClashError when a module of the user's has the name of a shipped package, and FlowError when a module
    cannot be imported or holds no flow.
    """
    names = tuple(names)
    flows: list[Flow] = []
    for entry in names:
        module_name, _, wanted = entry.partition(":")
        folder = _as_file(module_name).parent if module_name.endswith(".py") else None
        check_clash(folder)
        module = _import(module_name)
        flows += [f for f in _held(module, module_name, wanted) if f not in flows]
    return Flows(flows, names)


def check_clash(folder: Path | None = None) -> None:
    """Refuse a module that shadows a shipped package, on the import path or in `folder`. Raises ClashError."""
    path = [*([str(folder)] if folder else []), *(p or "." for p in sys.path)]
    for name in _SHIPPED:
        ours = _HOME / name
        spec = PathFinder.find_spec(name, path)
        if not ours.is_dir() or spec is None or spec.origin is None:
            continue
        theirs = Path(spec.origin).resolve()
        if ours not in theirs.parents:
            raise ClashError(
                f"your {theirs} has the name of the package {ours} of celery-waves, and one would hide the other. "
                f"Rename yours, for instance to my_{name}."
            )


def _as_file(name: str) -> Path:
    return Path(name).resolve()


def _import(name: str) -> ModuleType:
    try:
        return _import_file(_as_file(name)) if name.endswith(".py") else importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and name.partition(".")[0] == error.name.partition(".")[0]:
            raise FlowError(
                f"cannot import {name!r}, which is to hold flows: there is no module {error.name!r}. Run this in its "
                "folder, or put the folder on PYTHONPATH."
            ) from None
        raise


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise FlowError(f"there is no file {path}, which is to hold flows.")
    loaded = sys.modules.get(path.stem)
    if loaded is not None and getattr(loaded, "__file__", None) == str(path):
        return loaded
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise FlowError(f"{path} is no Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _held(module: ModuleType, name: str, wanted: str) -> list[Flow]:
    found = {key: value for key, value in vars(module).items() if isinstance(value, Flow)}
    if not wanted:
        if not found:
            raise FlowError(f"{name!r} holds no flow. Give it one: flow = Flow('name', [tasks]).")
        return list({id(flow): flow for flow in found.values()}.values())
    chosen = [flow for key, flow in found.items() if wanted in (key, flow.name)]
    if not chosen:
        raise UnknownName(f"no flow {wanted!r} in {name}.{near(wanted, found)} Found there: {listed(found)}.")
    return chosen[:1]
