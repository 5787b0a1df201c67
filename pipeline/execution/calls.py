"""Calling a user's function: one at a time, in threads, or in batches that are halved; always within a time limit.

A time limit is kept in two ways. In a process' main thread, which is where a prefork child runs its tasks, an alarm
interrupts the call. Everywhere else, and for tasks that ask for threads of their own, calls run in daemon threads
that are left alone when the time is over: what they still answer is not used.

Whatever a call raises is its entity's error, an exit too. Only what a signal raises into it goes further: Ctrl-C, and
the exit of a pool's child that was told to end.
"""

from __future__ import annotations

import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from types import FrameType
from typing import Any

from pipeline.errors import AnswerError, TimedOut
from pipeline.execution.child_processes import children, kill_workers
from pipeline.execution.django_databases import close_connections
from pipeline.flows.exits import told_to_end

Answer = tuple[int, Any, BaseException | None]  # index of the call, its value, or what it raised
Function = Callable[..., Any]


class _Interrupt(BaseException):
    """Raised into the user's code by the alarm. Not an Exception, so that `except Exception` does not eat it."""


def over(limit: float) -> TimedOut:
    """Build the error of a call that ran into its time limit (seconds)."""
    return TimedOut(f"not done within the time limit of {limit:g} s")


def in_turn(fn: Function, rows: Sequence[Sequence[Any]], limit: float, threads: int = 1) -> Iterator[Answer]:
    """Call `fn(*row)` for each row and give each answer as it comes; what the limit (seconds) cuts off is TimedOut.

    With one thread they run in order, in the calling thread where an alarm can guard it. Close the iterator when
    you leave it before its end.
    """
    if threads == 1 and threading.current_thread() is threading.main_thread():
        return _guarded(fn, rows, limit)
    return _threaded(fn, rows, limit, min(threads, len(rows)))


@contextmanager
def _alarm(seconds: float, strike: Callable[..., None]) -> Iterator[None]:
    """Call `strike` when the time is over; somebody else's alarm waits meanwhile, and then comes when it was due."""
    rest, interval = signal.setitimer(signal.ITIMER_REAL, 0)
    before, since = signal.signal(signal.SIGALRM, strike), time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before or signal.SIG_DFL)
        if rest:
            signal.setitimer(signal.ITIMER_REAL, max(rest - (time.monotonic() - since), 0.001), interval)


@contextmanager
def _ctrl_c() -> Iterator[list[int]]:
    """Note each Ctrl-C in the block, to tell a KeyboardInterrupt of the user's own from it."""
    heard: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    if not callable(before):  # a pool's child ignores it
        yield heard
        return

    def hear(number: int, frame: FrameType | None) -> None:
        heard.append(number)
        before(number, frame)

    signal.signal(signal.SIGINT, hear)
    try:
        yield heard
    finally:
        if signal.getsignal(signal.SIGINT) is hear:  # else `before` has set what the next one does
            signal.signal(signal.SIGINT, before)


def _guarded(fn: Function, rows: Sequence[Sequence[Any]], limit: float) -> Iterator[Answer]:
    """Call in this thread. The alarm strikes only inside a call, never while its answer is used."""
    inside = fired = False
    before = children()

    def strike(*_: Any) -> None:
        nonlocal fired
        fired = True
        if inside:
            kill_workers(before)  # else the end of a `with` would wait for them
            raise _Interrupt

    with _ctrl_c() as heard, _alarm(limit, strike):
        for index, row in enumerate(rows):
            value = error = None
            if fired:
                yield index, None, over(limit)
                continue
            try:
                try:
                    inside = True
                    value = fn(*row)
                    inside = False
                except _Interrupt:
                    raise
                except BaseException as raised:  # an exit or a CancelledError: no reason to fail the others
                    if (heard and isinstance(raised, KeyboardInterrupt)) or told_to_end():
                        raise
                    inside, error = False, raised
            except _Interrupt:
                inside, error = False, over(limit)
            yield index, value, error


def _threaded(fn: Function, rows: Sequence[Sequence[Any]], limit: float, threads: int) -> Iterator[Answer]:
    done: queue.SimpleQueue[Answer] = queue.SimpleQueue()
    todo = iter(range(len(rows)))
    lock, stop = threading.Lock(), threading.Event()

    def work() -> None:
        while not stop.is_set():
            with lock:
                index = next(todo, None)
            if index is None:
                return
            try:
                done.put((index, fn(*rows[index]), None))
            except BaseException as error:
                done.put((index, None, error))

    for _ in range(threads):
        # With a copy of the context, so that what a call logs names its wave and task there too.
        threading.Thread(target=copy_context().run, args=(_and_close, work), daemon=True).start()
    left, deadline = set(range(len(rows))), time.monotonic() + limit
    try:
        while left:
            wait = deadline - time.monotonic()
            if wait <= 0:
                stop.set()  # no further call begins; those that have ended still count
            answer = done.get(timeout=wait) if wait > 0 else done.get_nowait()
            left.remove(answer[0])
            yield answer
    except queue.Empty:
        for index in sorted(left):
            yield index, None, over(limit)
    finally:
        stop.set()


def _and_close(work: Callable[[], None]) -> None:
    """Do the work of a thread, and close the connections that Django would keep for it."""
    try:
        work()
    finally:
        close_connections()


def halving(
    call: Callable[[Sequence[int]], Any], size: int, limit: float
) -> Iterator[tuple[Sequence[int], Any, BaseException | None]]:
    """Call once for `range(size)`; where that raises, for each half of it, until the one that raises is alone.

    Returns (indices, value, error) with indices that are disjoint and together all. A call that ran out of time, or
    whose answer was for others than were asked for, is not halved: it would go wrong again.
    """
    deadline = time.monotonic() + limit
    todo: list[Sequence[int]] = [range(size)]
    while todo:
        part = todo.pop()
        left = deadline - time.monotonic()
        if left <= 0:
            yield part, None, over(limit)
            continue
        ((_, value, error),) = in_turn(call, [(part,)], left)
        if isinstance(error, TimedOut):
            yield part, None, over(limit)
        elif error is None or len(part) == 1 or isinstance(error, AnswerError):
            yield part, value, error
        else:
            half = len(part) // 2
            todo += [part[half:], part[:half]]
