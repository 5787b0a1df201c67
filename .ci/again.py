"""again.py TARGET NOTES: runs `make TARGET`, and what failed of its tests once more, by itself.

What waits for real processes with limits may have had a bad moment of a shared machine. It may have one: NOTES, a file
that all targets of a run share, gets a line for each test that needed a second run, and with the second line it fails.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

MOST = 1  # tests that may need a second run, in a whole run of CI


def tests(target: str, report: Path, *words: str) -> bool:
    """Run a target's tests; tells whether all is well."""
    args = " ".join((*words, "--durations=10", f"--junitxml={report}"))
    return subprocess.run(["make", target, f"ARGS={args}"], check=False).returncode == 0


def failures(report: Path) -> list[str]:
    """Give the tests that failed, each with the line that says why; none where a second run would not help."""
    if not report.exists():  # pytest itself came to no end
        return []
    cases = list(ElementTree.parse(report).iter("testcase"))
    if any(skip.get("type") != "pytest.xfail" for case in cases for skip in case.iter("skipped")):
        return []  # a failure in CI, which the second run would not see
    return [
        f"{case.get('classname')}::{case.get('name')}: {_reason(fault)}"
        for case in cases
        if (fault := next((each for kind in ("failure", "error") for each in case.iter(kind)), None))
        is not None
    ]


def _reason(fault: ElementTree.Element) -> str:
    return next(iter((fault.get("message") or "").splitlines()), "it says no reason")


def main(target: str, notes: Path) -> int:
    """Run them; gives the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        first, second = Path(folder, "first.xml"), Path(folder, "second.xml")
        if tests(target, first, "--cache-clear"):
            return 0
        found = failures(first)
        if not found:
            return 1
        with notes.open("a") as file:
            file.writelines(f"make {target}: {line}\n" for line in found)
        needed = notes.read_text().splitlines()
        if len(needed) > MOST:
            print(
                f"{len(needed)} tests needed a second run, and {MOST} may:", *needed, sep="\n  ", flush=True
            )
            return 1
        print("a second run, by itself:", *found, sep="\n  ", flush=True)
        return 0 if tests(target, second, "--last-failed", "--last-failed-no-failures=none") else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
