"""An exit that a user's code asks for is an error of that code, not the end of the process that runs it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import DefinitionError


def told_to_end() -> bool:
    """Return whether this is a pool's child that a signal has told to end: its exit is not the user's."""
    pool = sys.modules.get(
        "billiard.common"
    )  # loaded wherever there are such children, and not asked for elsewhere
    return pool is not None and bool(pool.terminate_handler_fired())


@contextmanager
def no_exit(what: str) -> Iterator[None]:
    """Raise DefinitionError for an exit, or another BaseException, of the user's code in the block; not for Ctrl-C."""
    try:
        yield
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:
        if told_to_end():
            raise
        raise DefinitionError(
            f"{what} raised {type(error).__name__}: {error}. It is run by processes that must go on: let it raise an "
            'Exception, or leave what ends a program below `if __name__ == "__main__":`.'
        ) from error
