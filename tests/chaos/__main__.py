"""python -m tests.chaos --waves 30 --entities 2000 --json F: waves under every fault, and what became of them."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from redis.exceptions import RedisError

from tests.chaos import checks
from tests.chaos.faults import BAD, CALM, Faults
from tests.chaos.flows import COUNTERS
from tests.chaos.outcome import total
from tests.chaos.scene import Scene, scene

KILL_EVERY = 2.0  # seconds
AWAY = 1.0  # seconds that Redis is away when it is restarted
RESTARTS = 3
AT_ONCE = 3  # open waves
DRAIN = 60.0  # seconds that the last messages have after the last wave
ZERO = ("status_errors", "pipe_errors", "window_errors", "left_out_errors")
SURPLUS = 0.001  # of all finished: pipes that nobody finished


def until(condition: Callable[[], bool], limit: float) -> bool:
    """Wait for a condition; false when it did not come in time."""
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def calm(stage: Scene) -> float:
    """Run some waves without kills and restarts; gives the seconds that one takes."""
    for _ in range(CALM):
        stage.submit()
    until(lambda: stage.open() == 0, stage.expiry + 30)
    return checks.seconds(stage.waves)


def storm(stage: Scene, waves: int, say: Callable[[str], None]) -> int:
    """Run waves while workers are killed, Redis is restarted, and once emptied; gives how often it was restarted."""
    wanted, began, restarts = len(stage.waves) + waves, time.monotonic(), 0
    flushing = stage.faults.flush
    kill_at = report_at = began
    limit = began + stage.expiry * (waves / AT_ONCE + 2)
    while (left := stage.open()) or len(stage.waves) < wanted:
        now = time.monotonic()
        if now > limit:
            say("the waves do not come to an end")
            break
        if left < AT_ONCE and len(stage.waves) < wanted:
            stage.submit()
        if now >= kill_at:
            kill_at = now + KILL_EVERY
            stage.crowd.kill_one()
            stage.crowd.bury()
            stage.crowd.replace_ended()
        ended = len(stage.waves) - left - (wanted - waves)
        if flushing and left and ended * 2 >= waves:
            flushing = False
            flush(stage)
        elif restarts < RESTARTS and ended * (RESTARTS + 1) >= waves * (restarts + 1):
            restarts += 1
            restart(stage, hard=restarts % 2 == 1)
        if now >= report_at:
            report_at = now + 10
            say(f"{now - began:5.0f} s: {ended} of {waves} waves ended, {stage.crowd.kills} workers killed")
        time.sleep(0.2)
    return restarts


def restart(stage: Scene, hard: bool) -> None:
    """Restart Redis: as after a crash, or in good order."""
    if hard:
        stage.redis.kill()
    else:
        stage.redis.stop()
    time.sleep(AWAY)
    stage.redis.start()


def flush(stage: Scene) -> None:
    """Empty Redis once, as soon as it answers."""
    until(lambda: answers(stage), DRAIN)
    stage.flush()


def answers(stage: Scene) -> bool:
    """Whether Redis does."""
    try:
        return bool(stage.client.ping())
    except RedisError:
        return False


def drained(stage: Scene) -> bool:
    """Whether nothing is left in Redis."""
    stage.crowd.replace_ended()
    try:
        return not checks.leftovers(stage.client)
    except RedisError:
        return False


def measure(stage: Scene, usual: float, restarts: int, stormy: int) -> dict[str, Any]:
    """Check everything, and give the figures."""
    until(lambda: drained(stage), DRAIN)
    left = checks.leftovers(stage.client)
    outcomes = stage.outcomes()
    infos = [one.info for one in outcomes[-stormy:]]
    median, worst = checks.lateness(infos, usual)
    finished, surplus = total(outcomes, "finished"), total(outcomes, "surplus")
    faults = done(stage, restarts)
    return {
        "waves": len(infos),
        "ended_by_deadline": checks.by_deadline(infos),
        "expired": sum(info.reason == "expired" for info in infos),
        **{name: total(outcomes, name) for name in ZERO},
        "overwritten": checks.overwritten(Path(stage.client.config_get("dir")["dir"]), stage.waves),
        "leftovers": sum(left.values()) + total(outcomes, "claims"),
        "left": ", ".join(f"{name}: {n}" for name, n in left.items()),
        "finished": finished,
        "surplus": surplus,
        "surplus_share": surplus / max(finished, 1),
        "usual_s": usual,
        "late_median_s": median,
        "late_worst_s": worst,
        "reruns": total(outcomes, "reruns"),
        "lost_attempts": sum(info.lost for info in infos),
        "orphans": stage.crowd.orphans,
        "unrun": dict(sum((one.unrun for one in outcomes), Counter())),
        "guilty": dict(sum((one.guilty for one in outcomes), Counter())),
        "ended_workers": stage.crowd.ended,
        "resubmitted": stage.again,
        "faults": sum(faults.values()),
        **faults,
        "not_done": ", ".join(name for name, n in faults.items() if not n),
    }


def done(stage: Scene, restarts: int) -> dict[str, int]:
    """Count what was done of each kind of fault that is not left out."""
    crowd, faults = stage.crowd, stage.faults
    off = [name for name in ("exits", "holds") if not getattr(faults, name)]
    off += [] if faults.twice else ["doubled"]
    names = [name for name in COUNTERS if not name.startswith(tuple(off))]
    found = {name: int(stage.counted.get(name) or 0) for name in names}
    found |= {"kills": crowd.kills, "restarts": restarts}
    if faults.flush:
        found["flushes"] = stage.flushes
    if faults.bad_entities:
        found["bad_entities"] = BAD * len(stage.waves)
    for name in ("clocks", "mixed"):
        if getattr(faults, name):
            found[f"workers_{name}"] = crowd.started(name)
    return found


def failures(figures: dict[str, Any]) -> list[str]:
    """Name the figures that are not as they must be."""
    bad = [name for name in (*ZERO, "overwritten", "leftovers", "orphans") if figures[name]]
    if figures["ended_by_deadline"] < figures["waves"]:
        bad.append("ended_by_deadline")
    if figures["not_done"]:
        bad.append("not_done")
    return bad + ["surplus_share"] * (figures["surplus_share"] > SURPLUS)


@click.command()
@click.option("--waves", default=30, show_default=True, help="how many waves")
@click.option("--entities", default=2000, show_default=True, help="how many entities each has")
@click.option("--deadline", default=180.0, show_default=True, help="seconds after which a wave is closed")
@click.option("--seed", default=0, show_default=True, help="decides who is killed")
@click.option("--exits/--no-exits", default=True, help="tasks call sys.exit and such")
@click.option("--holds/--no-holds", default=True, help="tasks hold the GIL past their time limit")
@click.option("--clocks/--no-clocks", default=True, help="the clocks of some workers are 2 h or 30 d ahead")
@click.option("--flush/--no-flush", default=True, help="Redis is emptied once, in the middle")
@click.option("--bad-entities/--no-bad-entities", default=True, help="the state's source has a bad entity")
@click.option("--mixed", is_flag=True, help="some of the workers are of the release before; without --flush")
@click.option("--json", "path", type=click.Path(path_type=Path), help="file for the figures")
def main(waves: int, entities: int, deadline: float, seed: int, path: Path | None, **faults: bool) -> None:
    """Run waves under every fault: workers are killed, Redis restarts, sources hang and fail, messages come twice."""
    began = time.monotonic()
    # The release before runs what it remembers of a wave, also where Redis was emptied and the wave submitted again.
    faults["flush"] &= not faults["mixed"]
    with scene(entities, deadline, seed, Faults(**faults)) as stage:
        usual = calm(stage)
        click.echo(f"without kills a wave of {entities:,} entities takes {usual:.1f} s")
        restarts = storm(stage, waves, click.echo)
        figures = measure(stage, usual, restarts, waves) | {"seconds": time.monotonic() - began}
    for name, value in figures.items():
        click.echo(f"{name:>18}  {value:.4g}" if isinstance(value, float) else f"{name:>18}  {value}")
    if path:
        path.write_text(json.dumps(figures, indent=1) + "\n")
    if bad := failures(figures):
        click.echo(f"not as it must be: {', '.join(bad)}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
