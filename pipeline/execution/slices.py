"""Slices: what has finished of a run is settled and reported while the rest still runs. Pure."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from pipeline.execution.task_run import Outcome

SLICE_SECONDS = 1.0  # how long what has finished waits at most until it is put and reported


class Slices:
    """Gathers outcomes, and settles them every second in a thread of its own.

    In a thread, because the main one may be inside a call that never comes back: what was done before it is kept.
    """

    def __init__(self, settle: Callable[[Sequence[Outcome]], None], report: Callable[[], bool]) -> None:
        """`settle` puts some outcomes; `report` tells of them, and is false when the attempt counts no more."""
        self._settle = settle
        self._report = report
        self._gathered: deque[Outcome] = deque()
        self._error: BaseException | None = None
        self.refused = False  # the attempt counts no more

    def add(self, outcome: Outcome) -> None:
        """Take an outcome. Raises what went wrong in the thread."""
        self._gathered.append(outcome)
        self._raise()

    def settle(self) -> bool:
        """Settle what has gathered; False when there was nothing."""
        gathered = [self._gathered.popleft() for _ in range(len(self._gathered))]
        if gathered:
            self._settle(gathered)
        return bool(gathered)

    @contextmanager
    def ticking(self) -> Iterator[None]:
        """Settle and report every second for as long as the block lasts. Raises what went wrong in the thread."""
        stop = threading.Event()
        thread = threading.Thread(target=self._tick, args=(stop,), name="slices", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        self._raise()

    def _tick(self, stop: threading.Event) -> None:
        try:
            while not stop.wait(SLICE_SECONDS):
                if self.settle() and not self._report():
                    self.refused = True
                    return
        except Exception as error:
            self._error = error

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error
