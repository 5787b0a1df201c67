"""Spans: a wave as OpenTelemetry has it. Needs the extra: pip install 'celery-waves[tracing]'.

    wave FLOW                from the submission to the end; told by whoever ends it
      submit FLOW            the snapshot, the shards, the first messages
      FLOW.TASK              each run of a task over a shard or a scope, again where it was run again

The ids of the trace and of its first span are drawn from the wave's id and the time of its submission, which every
process can read: nothing is added to messages, and a run that a keeper rescued is in the same trace. A sampler that
decides by the trace's id (OTEL_TRACES_SAMPLER=traceidratio) decides alike everywhere. While a task runs, its span is
the current one, so that spans that a user's own code makes are below it.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from pipeline.flows.pipe import stamp
from pipeline.gate import status
from pipeline.gate.records import Records, WaveInfo
from pipeline.gate.units import Unit
from pipeline.gate.wave_spec import WaveSpec
from pipeline.telemetry.logs import get_logger
from pipeline.telemetry.tracing import Failed, Told

PATH = "/v1/traces"  # where collectors take them
TIMEOUT = 2.0  # seconds that the collector may take: a worker that ends waits for it
DELAY = 1000  # milliseconds in which spans are gathered
# spans; what is more while the collector is gone is dropped, and no wave waits for it
QUEUE, BATCH = (1024, 512)

log = get_logger("pipeline.tracing")


def sending_to(address: str) -> SpanProcessor:
    """Build what sends spans to a collector, by OTLP over HTTP, in a thread of its own."""
    endpoint = address if address.rstrip("/").endswith(PATH) else address.rstrip("/") + PATH
    exporter = OTLPSpanExporter(endpoint=endpoint, timeout=TIMEOUT)
    return BatchSpanProcessor(
        exporter, max_queue_size=QUEUE, schedule_delay_millis=DELAY, max_export_batch_size=BATCH
    )


def ids_of(wave_id: str, submitted: float) -> tuple[int, int]:
    """Draw the ids of a wave's trace and of its first span."""
    digest = hashlib.sha256(f"{wave_id} {submitted * 1000:.0f}".encode()).digest()
    return int.from_bytes(digest[:16]), int.from_bytes(digest[16:24])


class _Ids(RandomIdGenerator):
    """Gives the ids that were asked for, else random ones."""

    def __init__(self) -> None:
        self._next = threading.local()

    @contextmanager
    def being(self, trace_id: int, span_id: int) -> Iterator[None]:
        """Let the span that is begun in the `with` block, in this thread, have these ids."""
        self._next.ids = trace_id, span_id
        try:
            yield
        finally:
            self._next.ids = None

    def generate_trace_id(self) -> int:
        """Return the id of a new trace."""
        ids: tuple[int, int] | None = getattr(self._next, "ids", None)
        return ids[0] if ids else super().generate_trace_id()

    def generate_span_id(self) -> int:
        """Return the id of a new span."""
        ids: tuple[int, int] | None = getattr(self._next, "ids", None)
        return ids[1] if ids else super().generate_span_id()


class SpanTracer:
    """Tells of waves in spans. What goes wrong with it is logged, and no wave fails for it."""

    def __init__(self, processor: SpanProcessor, records: Records) -> None:
        """Take what gets the spans."""
        self._records, self._ids = records, _Ids()
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": "celery-waves"}), id_generator=self._ids
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("pipeline")
        self._parent = lru_cache(maxsize=64)(self._find_parent)

    def submitted(self, spec: WaveSpec, began: float) -> None:
        """Report that a wave was submitted."""
        parent = self._parent_of(spec)
        if parent is not None:
            attributes = _of_wave(spec) | {"wave.entities": spec.entities, "wave.shards": len(spec.sizes)}
            self._tracer.start_span(
                f"submit {spec.flow}", parent, SpanKind.PRODUCER, attributes, start_time=round(began * 1e9)
            ).end()

    @contextmanager
    def run(self, spec: WaveSpec, unit: Unit, attempt: int) -> Iterator[Told]:
        """Report a run."""
        parent = self._parent_of(spec)
        if parent is None:
            yield lambda chars, failed: None
            return
        attributes = _of_wave(spec) | {
            "task.name": unit.task,
            "task.shard": unit.where,
            "task.attempt": attempt,
        }
        name = f"{spec.flow}.{unit.task}"
        with self._tracer.start_as_current_span(name, parent, SpanKind.CONSUMER, attributes) as span:
            yield lambda chars, failed: _tell(span, chars, failed)

    def ended(self, spec: WaveSpec) -> None:
        """Report a wave as a whole."""
        info = self._info(spec.id)
        if info is None:
            return
        counts: Counter[str] = Counter()
        for its in self._records.counts(spec.id).values():
            for char, n in its.items():
                counts.update({status.decode(char).status: n} if char != "us" else {})
        attributes = _of_wave(spec) | {"wave.entities": spec.entities, "wave.reason": info.reason or ""}
        with self._ids.being(*ids_of(spec.id, info.submitted)):
            span = self._tracer.start_span(
                f"wave {spec.flow}",
                Context(),
                attributes=attributes | _counted(counts),
                start_time=round(info.submitted * 1e9),
            )
        if info.reason not in ("done", "empty"):
            span.set_status(Status(StatusCode.ERROR, info.reason))
        span.end(round((info.ended or time.time()) * 1e9))

    def flush(self) -> None:
        """Send what is left, within some seconds."""
        self._provider.shutdown()

    def _info(self, wave_id: str) -> WaveInfo | None:
        try:
            return self._records.info(wave_id)
        except Exception as error:
            log.warning("a span is left out: its wave cannot be read", wave=wave_id, error=str(error))
            return None

    def _parent_of(self, spec: WaveSpec) -> Context | None:
        """Return a wave's first span as the parent of another; None where its ids are not known."""
        try:
            return self._parent(spec.id)
        except LookupError:
            return None

    def _find_parent(self, wave_id: str) -> Context:
        info = self._info(wave_id)
        if info is None:
            raise LookupError(wave_id)
        trace_id, span_id = ids_of(wave_id, info.submitted)
        decision = self._provider.sampler.should_sample(None, trace_id, "wave").decision
        flags = TraceFlags(TraceFlags.DEFAULT if decision is Decision.DROP else TraceFlags.SAMPLED)
        first = SpanContext(trace_id, span_id, is_remote=True, trace_flags=flags)
        return trace.set_span_in_context(NonRecordingSpan(first), Context())


def _of_wave(spec: WaveSpec) -> dict[str, Any]:
    found = {
        "wave.id": spec.id,
        "wave.flow": spec.flow,
        "wave.version": spec.version,
        "wave.date": stamp(spec.date),
        "wave.backfill": spec.backfill,
    }
    return found | ({"wave.commit": spec.commit} if spec.commit else {})


def _counted(counts: Mapping[str, int]) -> dict[str, int]:
    return {f"entities.{name}": n for name, n in counts.items() if n}


def _tell(span: Span, chars: str, failed: Failed) -> None:
    counts = Counter(status.decode(char).status for char in chars)
    span.set_attributes(_counted(counts))
    for line in failed:
        span.add_event("entities failed", dict(line))
    if counts["failed"]:
        span.set_status(Status(StatusCode.ERROR, f"{counts['failed']:,} of {len(chars):,} entities failed"))
