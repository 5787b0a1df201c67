"""A unit's record: how it stands in the gate, and why it was not done when its wave ended. Pure.

`gate.lua` writes the records into the hash `wave:{id} units`; only its `load` and `save`, and `Condition.read` here,
know the form: eight words, without the spaces of a unit's name, and others after them in time to come.

    form       of the record, see pipeline.forms
    state      pending, running or done
    attempt    the number of the last attempt, 0 before the first
    need       units that it still waits for
    lease      when the lease of the attempt that runs ends; of a unit that is done, when that was (ms)
    limit      when the time limit of the attempt is over (ms); 0: it is past it, and hangs
    owner      who runs it, as owner/token; "-" for nobody
    suspicion  how much speaks for it having killed workers

A unit without a record is pending with the need that its graph gives.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.forms import check_form


@dataclass(frozen=True, slots=True)
class Condition:
    """How a unit stands in the gate."""

    name: str  # pending, running or done
    attempt: int  # the number of the last attempt, 0 before the first
    need: int  # units that it still waits for
    at: float = 0.0  # seconds since the epoch: when it was done; while it runs, the end of its lease

    @classmethod
    def read(cls, record: str) -> Condition:
        """Read a record of the gate's. Raises UnreadableError for a form that this code does not read."""
        form, state, attempt, need, lease, *_ = record.split(" ")
        check_form(int(form) if form.isdigit() else form, "a unit's record")
        return cls(state, int(attempt), int(need), int(lease) / 1000)


def why_open(condition: Condition | None, need: int, queue: str) -> str:
    """Explain why a unit was not done when its wave was closed.

    `condition` is None where the gate knows nothing of it; `need` is how many inputs it has by the graph, `queue`
    where its messages go.
    """
    if condition is None:
        condition = Condition("pending", 0, need)
    if condition.name == "running":
        return f"it was running (attempt {condition.attempt})"
    if condition.need:
        return "its inputs were still open"
    if condition.attempt:
        return "it was to be run again"
    return f"no worker took it from queue {queue}"
