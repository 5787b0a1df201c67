"""What a stored model says of itself, in spec.json beside its other files: parameters, and what takes few words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from zipfile import BadZipFile

from forecasting.errors import ModelError

SPEC_FILE = "spec.json"

T = TypeVar("T")


def write_spec(folder: Path, stored: Mapping[str, Any]) -> None:
    """Write it into a model's folder."""
    (folder / SPEC_FILE).write_text(json.dumps(stored))


@contextmanager
def reading_spec(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield what `write_spec` wrote. Raises ModelError where that, or a file that is read meanwhile, is damaged."""
    try:
        yield json.loads((folder / SPEC_FILE).read_text())
    except (OSError, KeyError, TypeError, ValueError, BadZipFile) as error:
        raise ModelError(
            f"no model can be read from {folder} ({error}). Train it again, or make another version live."
        ) from None


def parameters(kind: Callable[..., T], stored: Mapping[str, Any]) -> T:
    """Build a dataclass of parameters from what `asdict` gave; JSON has made lists of its tuples."""
    return kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in stored.items()})
