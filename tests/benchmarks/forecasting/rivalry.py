"""Line 3: other libraries' forecasts of the same series, in the same run, each in a process of its own.

Ours beside them is the quickest that we have; the best is line 1. The short form leaves them out. They want pandas
below 3, so that they may lie in an environment of their own:

    python -m venv rivals && rivals/bin/pip install -c .ci/benchmark.txt '.[benchmark]'
    python -m tests.benchmarks.forecasting --data DIR --rivals rivals/bin/python
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.forecasting.figures import Figure, Options, Section, say
from tests.benchmarks.forecasting.rival import ABSENT, FORECASTERS

NAMES = {
    "ours": "celery-waves: a ridge an entity",
    "mlforecast": "mlforecast: XGBoost, differences 24, scaler per series",
    "skforecast": "skforecast: XGBoost, series by ordinal encoding",
    "mstl": "statsforecast: MSTL and AutoETS",
}
SERIES = 350
LIMIT = 600.0  # seconds for one of them
ROOT = Path(__file__).parents[3]


def run(options: Options) -> list[Section]:
    """Measure all that are installed, and name those that are not."""
    figures: list[Figure] = []
    absent: list[str] = []
    for key in FORECASTERS:
        found = _measured(key, options)
        if found is None:
            absent.append(key)
            continue
        smape, mase, owa, seconds, peak = found
        say(f"{NAMES[key]}: OWA {owa:.4f}, {seconds:.1f} s")
        figures += [
            Figure(f"rival_{key}_owa", f"{NAMES[key]}: OWA", owa, "{:.4f}"),
            Figure(f"rival_{key}_smape", "  sMAPE", smape),
            Figure(f"rival_{key}_mase", "  MASE", mase),
            Figure(f"rival_{key}_s", "  seconds to fit and to forecast", seconds, "{:.1f}"),
            Figure(f"rival_{key}_mb", "  MB of memory at most", peak, "{:.0f}"),
        ]
    text = f"absent, see rivalry.py: {', '.join(absent)}" if absent else "libraries that are absent"
    figures.append(Figure("rivals_absent", text, float(len(absent)), "{:.0f}"))
    heading = f"3. Beside other libraries: {SERIES} M4 series, the last 48 h, {options.threads} threads"
    return [Section(heading, tuple(figures))]


def _measured(key: str, options: Options) -> list[float] | None:
    """Give sMAPE, MASE, OWA, seconds and MB; None where the library is not installed."""
    python = sys.executable if options.rivals is None else str(options.rivals)
    command = [python, "-m", "tests.benchmarks.forecasting.rival", key, str(SERIES)]
    command += [str(options.data.resolve()), str(options.threads)]
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(options.threads)}
    done = subprocess.run(
        command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, timeout=LIMIT, check=False
    )
    if done.returncode == ABSENT:
        say(f"{NAMES[key]}: absent ({done.stdout.strip()})")
        return None
    if done.returncode:
        raise RuntimeError(f"{key} failed with exit code {done.returncode}; see above")
    return [float(word) for word in done.stdout.split()]
