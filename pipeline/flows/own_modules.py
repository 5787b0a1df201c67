"""A user's own modules that are named like packages of celery-waves: tasks.py, ecs.py, forecasting.py, pipeline.py.

Theirs is what their code means by the name, whichever lies first on the import path. Of ours only that package is out
of reach then, and what needs it says so. A `pipeline` of theirs cannot be: it would hide the engine itself.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from pipeline.errors import ClashError

ENGINE, OTHERS = "pipeline", ("tasks", "forecasting", "ecs")
_HOME = Path(__file__).resolve().parents[2]
_SHARED = ("site-packages", "dist-packages")  # what lies there is not the user's to rename


class _Own:
    """Finds the user's own module of such a name first."""

    def __init__(self) -> None:
        self.folders: list[str] = []

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find one of those names in the user's folders; Python looks for all else."""
        return _foreign(name, self.folders) if path is None and name in OTHERS else None


_own = _Own()


def prefer_own(folder: Path | None) -> None:
    """Let the modules of a user's folder go before packages of ours of the same name.

    Raises ClashError, which names both, for a `pipeline` there or ahead of ours on the import path, and for one whose
    name this process uses for ours already.
    """
    own = [str(folder)] if folder is not None and _is_users(folder) else []
    for place in (own, [entry or "." for entry in sys.path]):
        found = PathFinder.find_spec(ENGINE, place)
        if found is not None and found.origin is not None and not _is_ours(ENGINE, found.origin):
            raise clash(ENGINE, Path(found.origin).resolve())
    for name in OTHERS:
        theirs = _foreign(name, own)
        if theirs is None:
            continue
        loaded = getattr(sys.modules.get(name), "__file__", None)
        if loaded and _is_ours(name, loaded):
            raise clash(name, Path(str(theirs.origin)))
        if own[0] not in _own.folders:
            _own.folders.insert(0, own[0])
        if _own not in sys.meta_path:
            sys.meta_path.insert(0, _own)


def hiding(name: str) -> Path | None:
    """Return the user's module that hides the package of ours in which a module lies, None where nothing does."""
    package = name.partition(".")[0]
    if package not in OTHERS:
        return None
    here = [str(Path.cwd())] if _is_users(Path.cwd()) else []
    found = _foreign(package, [*here, *_own.folders]) or _foreign(package, sys.path, first=True)
    return None if found is None else Path(str(found.origin)).resolve()


def clash(name: str, theirs: Path) -> ClashError:
    """Build the error of a module that hides the package of ours in which another lies."""
    package = name.partition(".")[0]
    needed = f", which {name} is in," if "." in name else ","
    return ClashError(
        f"your {theirs} has the name of the package {_HOME / package} of celery-waves{needed} and one would hide the "
        f"other. Rename yours, for instance to my_{package}."
    )


def clash_behind(error: ImportError) -> ClashError | None:
    """Build the error of an import that failed because a user's module hides ours; None where that is not why."""
    missing = error.name or ""
    package = missing.partition(".")[0]
    if package not in OTHERS:
        return None
    ours, theirs = _HOME.joinpath(*missing.split(".")), hiding(missing)
    if theirs is not None:
        return clash(missing, theirs) if ours.is_dir() or ours.with_suffix(".py").is_file() else None
    # A folder of theirs without __init__.py goes behind ours.
    folders = (Path(place, package).resolve() for place in (".", *sys.path))
    behind = next((one for one in folders if one.is_dir() and one != _HOME / package), None)
    return None if behind is None else clash(package, behind)


def _foreign(name: str, places: Sequence[str], first: bool = False) -> ModuleSpec | None:
    """Find a module of that name that is not ours; with `first`, only where it goes before ours."""
    for place in places:
        found = PathFinder.find_spec(name, [place or "."])
        if found is None or found.origin is None:
            continue
        if not _is_ours(name, found.origin):
            return found
        if first:
            return None
    return None


def _is_ours(name: str, origin: str) -> bool:
    return _HOME / name in Path(origin).resolve().parents


def _is_users(folder: Path) -> bool:
    """Return whether a folder is the user's, not one of installed packages nor a copy of celery-waves itself."""
    return folder.name not in _SHARED and not (folder / "pipeline" / "flows" / "discover.py").is_file()
