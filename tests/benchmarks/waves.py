"""What a wave costs, beside rivals: `python -m tests.benchmarks.waves [--json FILE] [--full] [--strict]`.

Each figure is the median of several runs; those of rivals are taken in turn with ours, and ratios within the same
turn. A wave's time is what its caller sees: from before submit_wave until wait() comes back. Without --full it takes
less than a minute. A slow machine is no error, unless --strict is given: then a missed target ends with exit code 1.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from pipeline.local.embedded import serving
from pipeline.local.processes import Workers
from pipeline.local.supervise import Processes
from tests.benchmarks import chords_app, flows, report, sections
from tests.benchmarks.child import Child
from tests.benchmarks.harness import VERSION, Clock, Lab, Places, own_peak_mb, peak_mb
from tests.benchmarks.sections import Bench, Figures, Sizes

QUICK: Sizes = (1_000, 5_000, 20_000)
FULL: Sizes = (1_000, 10_000, 100_000)
LIMIT = 36.0  # seconds after which, without --full, only what is measured once is left: some 15 s


def run(places: Places, sizes: Sizes, full: bool) -> Figures:
    """Measure everything on a Redis; gives the figures."""
    clock = Clock.of(LIMIT)
    chords_app.configure(places.control, places.rivals)
    env = {"PIPELINE_STORE_URL": places.pipes}
    with ExitStack() as stack:
        child = stack.enter_context(Child(places.rivals))
        chords = stack.enter_context(Processes(patience=0))
        workers = stack.enter_context(
            Workers(places.control, [flows.__name__], count=0, version=VERSION, env=env, patience=0)
        )
        lab = Lab(places)
        for size in sections.states(sizes):
            lab.register(size)
        found = sections.messages(lab)  # before there are workers
        start_chords(chords, places)
        return found | measure(Bench(lab, child, workers, sizes, full, clock), chords)


def measure(bench: Bench, chords: Processes) -> Figures:
    """Take all figures that need workers."""
    found = sections.sleep(bench, 1) | sections.sleep(bench, 2)
    chords.wait_ready()
    few = sections.prepare(bench)
    found |= sections.throughput(bench, few)
    chords.stop()
    found |= sections.numbers(bench) | sections.threads(bench) | sections.growth(bench)
    own = own_peak_mb()
    peak = max(own, *(peak_mb(pid) for pid in bench.workers.pids))
    found |= {"worker_rss_mb": round(peak, 1), "submitter_rss_mb": round(own, 1)}
    found |= bench.child.windows()
    found |= sections.sleep(bench, 4) | sections.sleep(bench, 8)
    return found | sections.sleep_spread(found)


def start_chords(chords: Processes, places: Places) -> None:
    """Start the chords' worker with its two processes."""
    words = ["worker", "-P", "prefork", "-c", "2", "-n", f"chords-{os.getpid()}@%h", "-l", "WARNING"]
    words += [
        "-I",
        "pipeline.workers.readiness",
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
    ]
    env = {chords_app.BROKER: places.control, chords_app.PIPES: places.rivals, "PYTHONWARNINGS": "ignore"}
    chords.start("chords", [sys.executable, "-m", "celery", "-q", "-A", chords_app.__name__, *words], env)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and write the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.waves", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, as a flat object")
    parser.add_argument(
        "--full", action="store_true", help="more rounds, and waves of up to 100,000 entities"
    )
    parser.add_argument("--strict", action="store_true", help="end with exit code 1 when a target is missed")
    options = parser.parse_args(argv)
    if options.json and not options.json.parent.is_dir():
        parser.error(f"there is no folder {options.json.parent} to write {options.json.name} into")
    sizes = FULL if options.full else QUICK
    start = time.perf_counter()
    with serving(os.environ.get("REDIS_URL")) as url:
        places = Places.beside(url)
        for client in places.each():
            if client.dbsize():
                parser.error(
                    "it empties the database that REDIS_URL names and the two after it; one holds keys"
                )
        print(report.machine(client.info("server")["redis_version"]), flush=True)
        try:
            figures = run(places, sizes, options.full)
        finally:
            for client in places.each():
                client.flushdb()
    figures["seconds"] = round(time.perf_counter() - start, 1)
    print(report.table(figures, sizes))
    missed = report.missed(figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 1 if options.strict and missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
