from __future__ import annotations

from pipeline.gate.incidents import Incident, grouped
from pipeline.gate.units import Unit


def test_a_line_of_the_gate_is_read():
    found = Incident.read("1767225600500 lost 2 sales 17")
    assert found == Incident(1767225600.5, "lost", 2, Unit("sales", "17"))
    assert found.text == "its worker vanished; run again when its lease had ended"


def test_incidents_are_grouped_by_task_and_kind_the_most_frequent_first():
    lines = ["1 late 1 a 0", "2 lost 1 b 0", "3 lost 1 b 1", "4 late 1 b 1"]
    groups = grouped([Incident.read(line) for line in lines])
    assert [(key, len(its)) for key, its in groups.items()] == [
        (("b", "lost"), 2),
        (("a", "late"), 1),
        (("b", "late"), 1),
    ]
