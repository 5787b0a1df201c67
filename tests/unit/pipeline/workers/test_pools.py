"""Which pools a worker may run in."""

from __future__ import annotations

import pytest
from celery.concurrency.thread import TaskPool

from pipeline.errors import SettingsError
from pipeline.workers.pools import refuse_green


@pytest.mark.parametrize("kind", ["gevent", "eventlet"])
@pytest.mark.parametrize("form", ["{}", "celery.concurrency.{}:TaskPool"])
def test_pools_of_green_threads_are_refused_with_a_sentence(kind, form):
    with pytest.raises(
        SettingsError, match=rf"cannot run in a pool of {kind}: .* Use -P prefork, or -P threads"
    ):
        refuse_green(form.format(kind))


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo", TaskPool])
def test_others_are_let_through(pool):
    refuse_green(pool)
