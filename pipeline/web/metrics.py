"""What the API itself adds to /metrics. A registry an application, so that several in one process do not mix."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Lock

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric

from pipeline.serving.producer import Producer

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.1, 1.25, 2.5, 5.0, 10.0)


class Metrics:
    """Counters of the API. Other parts add collectors of theirs to `registry`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._seconds = Histogram(
            "waves_http_request_seconds",
            "Time to answer a request",
            ["method", "route", "status"],
            registry=self.registry,
            buckets=_SECONDS,
        )
        self._answers = Histogram(
            "waves_serve_seconds",
            "Time from a request to the model's answer",
            ["model", "version"],
            registry=self.registry,
            buckets=_SECONDS,
        )
        self._instances = Counter(
            "waves_serve_instances",
            "Instances that were answered",
            ["model", "version"],
            registry=self.registry,
        )
        self._refused = Counter(
            "waves_serve_refused",
            "Requests not accepted, for want of workers",
            ["model"],
            registry=self.registry,
        )
        # Looking up a label costs more than counting: what was looked up once is kept.
        self._known: dict[tuple[str, str, int], Callable[[float], None]] = {}
        self._models: dict[tuple[str, str], tuple[Histogram, Counter]] = {}
        self._counters: dict[str, Counter] = {}
        self._lock = Lock()

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        key = (method, route, status)
        observe = self._known.get(key)
        if observe is None:
            observe = self._known[key] = self._seconds.labels(method, route, str(status)).observe
        observe(seconds)

    def answered(self, model: str, version: str, count: int, seconds: float) -> None:
        """Count instances that a version answered, and how long its answer took."""
        key = (model, version)
        if key not in self._models:
            self._models[key] = self._answers.labels(*key), self._instances.labels(*key)
        times, instances = self._models[key]
        times.observe(seconds)
        instances.inc(count)

    def counter(self, name: str, text: str, labels: Sequence[str]) -> Counter:
        """Return another part's counter, made when it is first asked for."""
        with self._lock:
            if name not in self._counters:
                self._counters[name] = Counter(name, text, labels, registry=self.registry)
            return self._counters[name]

    def refused(self, model: str) -> None:
        """Count a request that was not accepted."""
        self._refused.labels(model).inc()


class Serving:
    """Gauges of the models, read from what the producer saw last."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer

    def describe(self) -> Iterable[Metric]:
        """Describe nothing beforehand."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges."""
        families = {
            name: GaugeMetricFamily(f"waves_serve_{name}", text, labels=["model"])
            for name, text in {
                "workers": "Workers that are there",
                "slots": "Slots of all workers",
                "busy": "Slots that call the model",
                "queued": "Messages on the queue",
                "waiting": "Instances that wait for an answer from this process",
            }.items()
        }
        for name, view in self._producer.views.items():
            workers = view.workers.values()
            families["workers"].add_metric([name], len(workers))
            families["slots"].add_metric([name], sum(worker.slots for worker in workers))
            families["busy"].add_metric([name], sum(worker.busy for worker in workers))
            families["queued"].add_metric([name], view.queued)
            families["waiting"].add_metric([name], self._producer.waiting(name))
        yield from families.values()
        for total, text, value in (
            ("resent", "Requests that were asked again because a worker died", self._producer.resent),
            ("repeated", "Answers that came twice and were dropped", self._producer.repeated),
        ):
            yield GaugeMetricFamily(f"waves_serve_{total}", text, value=value)
