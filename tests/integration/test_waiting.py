"""The error of a wait that was in vain."""

from __future__ import annotations

import pytest

from pipeline.local.supervise import Processes
from tests.support.waiting import until


def test_a_wait_in_vain_tells_for_what_it_waited_and_what_the_processes_said():
    port = 4711
    with Processes(patience=0) as processes:
        child = processes.start("server", ["sh", "-c", "echo cannot bind; exit 3"], {})
        until(lambda: child.code is not None and "cannot bind" in child.tail())
        with pytest.raises(AssertionError) as caught:
            until(lambda: port == 0, 0.1)
    said = str(caught.value)
    assert said.startswith("not within 0.1 s: until(lambda: port == 0, 0.1)")
    assert "\nwhere port = 4711\n" in said
    assert "\nserver ended with exit code 3. It said:\n  cannot bind" in said
    with pytest.raises(AssertionError, match="not within 0 s: "):
        until({}.__len__, 0)
