from __future__ import annotations

from kombu.asynchronous.hub import Hub
from kombu.asynchronous.timer import Timer

from pipeline.workers.timers import FEW, drop_cancelled, tidy_timers


def test_cancelled_entries_go_and_the_others_come_in_their_order():
    timer, ran = Timer(), []
    entries = [timer.call_at(float(n), ran.append, (n,)) for n in range(3 * FEW, 0, -1)]
    for entry in entries:
        if entry.args[0] % 3:
            entry.cancel()
    assert drop_cancelled(timer) == 2 * FEW
    assert len(timer) == FEW
    for _, entry in zip(range(FEW), (e for _, e in timer if e is not None), strict=False):
        entry()
    assert ran == list(range(3, 3 * FEW + 1, 3))


def test_a_few_entries_are_left_alone():
    timer = Timer()
    timer.call_after(60, print).cancel()
    assert drop_cancelled(timer) == 0
    assert len(timer) == 1


def test_a_loop_tidies_its_own_timer():
    hub = Hub()
    for _ in range(2 * FEW):
        hub.call_later(3600, print).cancel()
    tidy_timers(hub)
    tick = next(event.entry for event in hub.timer._queue if not event.entry.canceled)
    tick()
    assert len(hub.timer) < FEW
    tidy_timers(None)
    hub.close()
