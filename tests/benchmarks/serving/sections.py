"""The measurements, each of a model of its own with workers of its own."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import xgboost

from pipeline.serving.catalogue import Source
from tests.benchmarks.serving import models
from tests.benchmarks.serving.lab import Lab, Stack, by_hand, pss_gb, wait

WORKERS, SLOTS = 2, 1000
STEP = 50
P99 = 1.25  # seconds that the highest rate may need


@dataclass(frozen=True)
class Size:
    """How long things are measured."""

    warm: float = 5  # seconds at the same rate before that: connections, threads, caches
    steady: float = 60  # seconds
    rival: float = 20
    probe: float = 10
    tries: int = 2  # of each rate
    step: int = STEP  # requests a second between two rates that are tried
    rival_step: int = STEP
    rates: tuple[int, int] = (500, 2000)  # between which the highest is looked for
    rival_rates: tuple[int, int] = (50, 500)
    boosted: float = 15
    megabytes: int = 1000
    change: float = 12  # seconds of load while the version is changed
    day: float = 10  # seconds of each of three parts
    kills: int = 5
    every: float = 5  # seconds between two of them


FULL = Size()
SHORT = Size(1, 3, 1, 1.5, 1, 250, 150, (500, 1000), (150, 300), 1.5, 100, 2.5, 2, 1, 3)


def _function(name: str) -> Source:
    return Source("callable", f"{models.__name__}:{name}")


def rates(stack: Stack, size: Size) -> dict[str, Any]:
    """Measure 500 requests a second at a second each, and the highest rate; both beside the hand-written service."""
    with stack.serve("second", [_function("second")], SLOTS, WORKERS, batch=1) as lab:
        before = lab.cpu()
        seen = lab.load((500, size.warm), (500, size.steady))
        cpu = lab.cpu() - before
        steady = seen.slices[1]
        good = not seen.errors and steady["p99"] <= P99
        highest = _highest(lab, size, size.rates, size.step, good=500 if good else 0)
    found = {
        "errors_500": seen.errors,
        "p50_500_s": steady["p50"],
        "p99_500_s": steady["p99"],
        "longest_500_s": steady["longest"],
        "cpu_ms_500": (cpu + seen.cpu) / seen.sent * 1000,
        "max_rate": highest,
    }
    with by_hand(WORKERS) as lab:
        lab.load((50, 1))
        best = _highest(lab, size, size.rival_rates, size.rival_step, good=0)
        rival = lab.load((500, size.rival))
    return found | {
        "errors_500_by_hand": rival.errors,
        "p99_500_s_by_hand": rival.p99,
        "max_rate_by_hand": best,
        "max_rate_ratio": highest / max(best, STEP),
    }


def _highest(lab: Lab, size: Size, between: tuple[int, int], step: int, good: int) -> int:
    """Find the highest rate that is answered without error, by halving; the higher one of the middle ones first."""
    low, high = max(good, between[0] - step), between[1] + step
    while high - low > step:
        rate = min(-(-(low + high) // 2 // step) * step, high - step)
        if any(_try(lab, rate, size.probe) for _ in range(size.tries)):
            low = rate
        else:
            high = rate
    return low if low >= between[0] else 0


def _try(lab: Lab, rate: int, seconds: float) -> bool:
    seen = lab.load((rate, seconds), wait=2 * P99)
    good = not seen.errors and seen.p99 <= P99
    if not good:
        _settle(lab)
    return good


def _settle(lab: Lab) -> None:
    """Wait until what an overload has left is worked off."""
    limit = time.monotonic() + 15
    while time.monotonic() < limit:
        seen = lab.load((10, 0.5), wait=5)
        if not seen.errors and seen.longest < 1.2:
            return


def boosted(stack: Stack, size: Size) -> dict[str, Any]:
    """Measure a real XGBoost model: one row a request, 32 rows a request, and a direct call."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.ubj"
        rows = models.train(path)
        one = json.dumps({"instances": rows[:1].tolist()})
        many = json.dumps({"instances": rows[:32].tolist()})
        with stack.serve("boosted", [Source("xgboost", str(path))], 4, 1, one) as lab:
            before = lab.cpu()
            seen = lab.load((400, size.warm), (400, size.boosted))
            cpu = (lab.cpu() - before) / seen.sent * 1000
            steady = seen.slices[1]
            wide = lab.load((100, size.boosted), body=many)
        booster = xgboost.Booster({"nthread": 1})
        booster.load_model(path)
        began, calls = time.process_time(), 300
        for _ in range(calls):
            booster.inplace_predict(rows[:1])
        direct = (time.process_time() - began) / calls * 1000
    return {
        "boosted_rate": steady["statuses"].get("200", 0) / size.boosted,
        "boosted_errors": seen.errors + wide.errors,
        "boosted_p50_ms": steady["p50"] * 1000,
        "boosted_p99_ms": steady["p99"] * 1000,
        "boosted_cpu_ms": cpu,
        "boosted_direct_ms": direct,
        "boosted_rows_rate": wide.good * 32 / size.boosted,
        "boosted_rows_p50_ms": wide.p50 * 1000,
        "boosted_rows_p99_ms": wide.p99 * 1000,
    }


def large(stack: Stack, size: Size) -> dict[str, Any]:
    """Measure the memory of a large model, its cold start, and the change to a second version under load."""
    kind = f"{models.__name__}:Large"
    with TemporaryDirectory() as folder:
        paths = [Path(folder) / "one", Path(folder) / "two"]
        for seed, path in enumerate(paths):
            models.write_large(path, size.megabytes, seed)
        with stack.serve("large", [Source(kind, str(path)) for path in paths], 8, 0, batch=1) as lab:
            began = time.perf_counter()
            worker = lab.add_worker(8)
            wait(lab.answers)
            cold = time.perf_counter() - began
            lab.load((100, 1))
            pss, watch = pss_gb(worker.pid), _Peak(worker.pid)
            running = lab.begin((200, size.change))
            time.sleep(0.5)
            began = time.perf_counter()
            lab.change(lambda entry: entry.promoted("2"))
            wait(lambda: [dict(w.versions) for w in lab.view().workers.values()] == [{"2": "ready"}])
            took = time.perf_counter() - began
            seen = running.wait()
            peak, after = watch.end(), pss_gb(worker.pid)
    return {
        "model_gb": size.megabytes / 1000,
        "pss_gb": pss,
        "pss_over_model_gb": pss - size.megabytes / 1000,
        "cold_start_s": cold,
        "switch_s": took,
        "switch_errors": seen.errors,
        "switch_p99_s": seen.p99,
        "switch_peak_over_gb": peak - 2 * size.megabytes / 1000,
        "switch_peak_models": peak / (size.megabytes / 1000),
        "switch_after_gb": after,
    }


class _Peak:
    """Watches the memory of a process."""

    def __init__(self, pid: int) -> None:
        self._pid, self._most, self._ends = pid, 0.0, False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ends:
            self._most = max(self._most, pss_gb(self._pid))
            time.sleep(0.1)

    def end(self) -> float:
        self._ends = True
        self._thread.join()
        return self._most


def day(stack: Stack, size: Size) -> dict[str, Any]:
    """Replay an uneven day, quiet, five times that, quiet, where the burst is twice what the slots can do."""
    deadline = 2.0
    with stack.serve("day", [_function("fifth")], 10, 2, batch=1, deadline=deadline) as lab:
        lab.load((20, 1))
        seen = lab.load((40, size.day), (200, size.day), (40, size.day))
    answered = seen.good / max(seen.sent, 1)
    refused = seen.statuses.get("503", 0) + seen.statuses.get("429", 0)
    return {
        "day_sent": seen.sent,
        "day_answered": answered,
        "day_refused": refused,
        "day_refused_quiet": sum(part["sent"] - part["statuses"].get("200", 0) for part in seen.slices[::2]),
        "day_late": seen.statuses.get("504", 0),
        "day_unanswered": seen.unanswered + seen.errors - refused - seen.statuses.get("504", 0),
        "day_refused_without_retry_after": refused - seen.retry_after,
        "day_longest_s": seen.longest,
    }


def kills(stack: Stack, size: Size) -> dict[str, Any]:
    """Kill one of three workers every 5 s at 200 requests a second."""
    deadline = 10.0
    with stack.serve("kills", [_function("tenth")], 16, 3, batch=1, deadline=deadline) as lab:
        lab.load((50, 1))
        workers = list(lab.processes.children)
        running = lab.begin((200, size.every * (size.kills + 1)))
        for _ in range(size.kills):
            time.sleep(size.every)
            child = workers.pop(0)
            lab.processes.kill(lab.processes.children.index(child))
            workers.append(lab.add_worker(16))
        seen = running.wait()
    refused = seen.statuses.get("503", 0)
    return {
        "kills": size.kills,
        "kills_sent": seen.sent,
        "kills_refused": refused,
        "kills_lost": seen.errors - refused,
        "kills_p99_s": seen.p99,
        "kills_longest_s": seen.longest,
    }


SECTIONS: dict[str, Callable[[Stack, Size], dict[str, Any]]] = {
    "rates": rates,
    "boosted": boosted,
    "large": large,
    "day": day,
    "kills": kills,
}
# In the short form those that wait more than they compute are measured at the same time.
TOGETHER = (("rates",), ("boosted",), ("large", "day", "kills"))
