"""Read by Python as it starts below libfaketime, whose release 0.9.10 lets time.sleep fail: another way to sleep."""

from __future__ import annotations

import select
import time


def sleep(seconds: float) -> None:
    """Wait by a call that libfaketime leaves as it is; it fails on those that wait by the monotonic clock."""
    select.select([], [], [], seconds)


time.sleep = sleep
