"""What stored data may name. Data is not code: who can write to Redis or to a store of models runs nothing by that.

    PIPELINE_ALLOW=my_models,my_lib.kinds:Onnx,/srv/models      modules, single objects of others, folders
    wave serve-worker NAME --allow my_models

A process imports what stored data names as `module:object`, and reads a file that it names, only where its own
environment or command line allows it. The folder PIPELINE_MODELS is allowed as well. Of an allowed module counts what
it and its submodules define, not what they have imported: `my_models:check_output` stays refused, unless it is itself
in the list.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, Self

from pipeline.errors import NotAllowed, SettingsError, listed

ALLOW = "PIPELINE_ALLOW"
_OPTION = ", or give that to `wave serve-worker --allow`."


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a process lets stored data name; nothing by default."""

    names: tuple[str, ...] = ()  # "module" or "module:object"
    folders: tuple[str, ...] = ()  # absolute

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the environment (`os.environ` by default). Raises SettingsError, which names the entry."""
        env = os.environ if environ is None else environ
        models = env.get("PIPELINE_MODELS") or "models"
        found = cls(folders=() if "://" in models or "," in models else (os.path.abspath(models),))
        return found.also(filter(None, map(str.strip, env.get(ALLOW, "").split(","))))

    def also(self, entries: Iterable[str]) -> Self:
        """Return it with more modules, objects of some (`module:object`), or folders. Raises SettingsError."""
        names, folders = list(self.names), list(self.folders)
        for entry in entries:
            if "/" in entry and "," not in entry:
                folders.append(os.path.abspath(entry))
            elif _dotted(entry.replace(":", ".", 1)):
                names.append(entry)
            else:
                raise SettingsError(
                    f"{ALLOW} or --allow: {entry!r} is neither a module (my_models), nor an object of one "
                    "(my_models:predict), nor a folder (./models, /srv/models; without a comma)."
                )
        return type(self)(tuple(dict.fromkeys(names)), tuple(dict.fromkeys(folders)))

    def dump(self) -> str:
        """Return what PIPELINE_ALLOW is to be in the environment of another process that may do the same."""
        return ",".join([*self.names, *self.folders])

    def permits(self, module: str, name: str) -> bool:
        """Return whether something that a module defines may be named."""
        return f"{module}:{name}" in self.names or any(
            module == each or module.startswith(f"{each}.") for each in self.names
        )

    def find(self, name: str) -> Any:
        """Import what stored data names as `module:object`.

        Raises NotAllowed before anything is imported, and for what the module has only imported itself; ImportError or
        AttributeError where there is none.
        """
        module, _, path = name.partition(":")
        if not self.permits(module, path):
            raise NotAllowed(
                f"it was stored as {name!r}, and this process imports nothing that stored data names unless its own "
                f"settings allow it. If {module} is yours, set {ALLOW}={module}{_OPTION}"
            )
        found: Any = import_module(module)
        parts = [found]
        for part in path.split("."):
            parts.append(found := getattr(found, part))
        if name not in self.names and (
            any(isinstance(part, ModuleType) for part in parts[1:]) or not self._defines(found)
        ):
            raise NotAllowed(
                f"{name} is not defined in {module}, which has only imported it. If it is meant, set {ALLOW}={name}"
                f"{_OPTION}"
            )
        return found

    def file(self, path: str) -> str:
        """Return the real path of a file that stored data names. Raises NotAllowed before anything is read."""
        real = Path(os.path.realpath(path))
        if not any(real.is_relative_to(os.path.realpath(folder)) for folder in self.folders):
            raise NotAllowed(
                f"{path} is in none of the folders whose files this process reads when stored data names them: "
                f"{listed(self.folders)}. If it is meant, set {ALLOW}={real.parent}{_OPTION}"
            )
        return str(real)

    def _defines(self, found: Any) -> bool:
        """Return whether an allowed module has made it itself; functions and classes may be imported ones."""
        home = getattr(found, "__module__", None)
        return not isinstance(found, FunctionType | BuiltinFunctionType | type) or (
            home is None or self.permits(home, found.__qualname__)
        )


def _dotted(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))
