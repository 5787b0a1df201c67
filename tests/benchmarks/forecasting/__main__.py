"""How good forecasts are and what they cost: `python -m tests.benchmarks.forecasting --data DIR [--json FILE]`.

DIR holds m4_hourly_train.csv, melbourne_pedestrians.csv, nyc_bike.csv and ads/*.csv. The full form takes some minutes
on two cores; --short takes fewer series and trees, leaves out other libraries, ends within a minute, and has wider
targets. With --strict a missed target ends with exit code 1.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.forecasting import ages, local, m4, rivalry, speed, waving
from tests.benchmarks.forecasting.figures import Options, Section, machine, table


def measure(options: Options) -> list[Section]:
    """Measure all lines."""
    sections, fitted = m4.run(options)
    if not options.short:
        sections += rivalry.run(options)
    sections += speed.run(fitted, options)
    sections += local.run(options)
    sections += ages.run(options)
    sections += waving.run(fitted, options)
    return sections


def main(arguments: Sequence[str]) -> int:
    """Measure, show the table, write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.forecasting", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the series")
    parser.add_argument("--json", type=Path, help="where the figures are written")
    parser.add_argument("--short", action="store_true", help="fewer series and trees, within a minute")
    parser.add_argument("--strict", action="store_true", help="exit code 1 when a target is missed")
    parser.add_argument("--threads", type=int, default=2, help="of a fit")
    parser.add_argument(
        "--rivals", type=Path, metavar="PYTHON", help="an interpreter that has the libraries of line 3"
    )
    chosen = parser.parse_args(arguments)
    began = time.monotonic()
    sections = measure(Options(chosen.data, chosen.short, chosen.threads, chosen.rivals))
    seconds = time.monotonic() - began
    figures = [figure for section in sections for figure in section.figures]
    missed = [figure.key for figure in figures if not figure.met]
    print(machine())
    print(table(sections))
    print(f"\n{seconds:.0f} s; " + (f"missed: {', '.join(missed)}" if missed else "all targets are met"))
    if chosen.json is not None:
        values = {figure.key: figure.value for figure in figures}
        chosen.json.write_text(json.dumps(values | {"seconds": seconds, "missed": missed}, indent=1))
    return 1 if chosen.strict and missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
