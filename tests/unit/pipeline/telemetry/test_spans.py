"""A wave's spans: their ids, what they say, and what they cost where nobody wants them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from pipeline.errors import SettingsError
from pipeline.flows.plan import compile_flow
from pipeline.gate import status
from pipeline.gate.records import WaveInfo
from pipeline.gate.units import Unit
from pipeline.gate.wave_spec import WaveSpec
from pipeline.settings import Settings
from pipeline.telemetry.spans import SpanTracer, ids_of
from pipeline.telemetry.tracing import OFF, check
from pipeline.waves.runtime import Runtime
from tests.support.graphs import flow_of

WAVE = "main/f 2026-04-01T07"
SPEC = WaveSpec(
    WAVE, "main", None, datetime(2026, 4, 1, 7, tzinfo=UTC), None, compile_flow(flow_of({"a": ()})), ("all",), (2,), 0.0
)  # fmt: skip


class FakeRecords:
    """Records of one wave, or of none."""

    def __init__(self, known: bool = True) -> None:
        self._known = known

    def info(self, wave_id: str) -> WaveInfo | None:
        return WaveInfo("closed", "done", 0, 1000.0, 2000.0, 1010.0, 0) if self._known else None

    def counts(self, wave_id: str) -> dict[str, dict[str, int]]:
        return {"a": {status.char(status.FINISHED): 2, "us": 5}}


@pytest.fixture
def kept() -> InMemorySpanExporter:
    return InMemorySpanExporter()


def tracer_of(kept: InMemorySpanExporter, known: bool = True) -> SpanTracer:
    records: Any = FakeRecords(known)
    return SpanTracer(SimpleSpanProcessor(kept), records)


def test_each_process_draws_the_same_ids_and_each_submission_others():
    assert ids_of(WAVE, 1000.0) == ids_of(WAVE, 1000.0)
    assert ids_of(WAVE, 1000.001)[0] != ids_of(WAVE, 1000.0)[0]
    assert all(0 < number < 2**bits for number, bits in zip(ids_of(WAVE, 1.0), (128, 64), strict=True))


def test_a_run_is_below_the_waves_first_span_whichever_process_tells_it(kept):
    with tracer_of(kept).run(SPEC, Unit("a", "0"), 1):
        pass
    tracer_of(kept).ended(SPEC)
    run, wave = kept.get_finished_spans()
    assert (wave.context.trace_id, wave.context.span_id) == ids_of(WAVE, 1000.0)
    assert (wave.name, wave.parent, wave.start_time, wave.end_time) == (
        "wave graph",
        None,
        1000 * 10**9,
        1010 * 10**9,
    )
    assert (run.name, run.parent.span_id, run.context.trace_id) == (
        "graph.a",
        wave.context.span_id,
        wave.context.trace_id,
    )


def test_while_a_task_runs_its_span_is_the_current_one_so_that_others_are_below_it(kept):
    with tracer_of(kept).run(SPEC, Unit("a", "0"), 1) as told:
        inside = trace.get_current_span().get_span_context()
        told(status.char(status.FINISHED) * 2, [])
    assert inside == kept.get_finished_spans()[0].context
    assert not trace.get_current_span().get_span_context().is_valid


def test_a_sampler_by_the_trace_keeps_all_of_a_wave_or_nothing(kept, monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    tracer = tracer_of(kept)
    with tracer.run(SPEC, Unit("a", "0"), 1):
        pass
    tracer.submitted(SPEC, 999.0)
    tracer.ended(SPEC)
    assert kept.get_finished_spans() == ()


def test_of_a_wave_that_redis_has_forgotten_nothing_is_told(kept):
    tracer = tracer_of(kept, known=False)
    with tracer.run(SPEC, Unit("a", "0"), 1) as told:
        told("", [])
    tracer.submitted(SPEC, 999.0)
    tracer.ended(SPEC)
    assert kept.get_finished_spans() == ()


def test_without_the_setting_there_is_nothing_to_do():
    assert Runtime(Settings()).tracer is OFF
    with OFF.run(SPEC, Unit("a", "0"), 1) as told:
        told("", [])
    OFF.submitted(SPEC, 1.0)
    OFF.ended(SPEC)
    OFF.flush()


def test_an_address_that_is_none_or_a_missing_extra_is_refused_in_words(monkeypatch):
    with pytest.raises(
        SettingsError, match=r"PIPELINE_TRACES='collector:4318' is not an address of a collector\. Give"
    ):
        check(Settings(traces="collector:4318"))
    monkeypatch.setattr("pipeline.telemetry.tracing.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"Install it: pip install 'celery-waves\[tracing\]'"):
        check(Settings(traces="http://127.0.0.1:4318"))
