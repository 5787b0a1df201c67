"""python -m tests.chaos --waves 30 --entities 2000 --json F: waves under every fault, and what became of them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from redis.exceptions import RedisError

from tests.chaos import checks
from tests.chaos.flows import COUNTERS
from tests.chaos.scene import Scene, scene

KILL_EVERY = 2.0  # seconds
AWAY = 1.0  # seconds that Redis is away when it is restarted
RESTARTS = 3
AT_ONCE = 3  # open waves
CALM = 3  # waves without kills and restarts, which tell what is usual
DRAIN = 60.0  # seconds that the last messages have after the last wave
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
    """Run waves while workers are killed and Redis is restarted; gives how often it was."""
    wanted, began, restarts = len(stage.waves) + waves, time.monotonic(), 0
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
        ended = len(stage.waves) - left - (wanted - waves)
        if restarts < RESTARTS and ended * (RESTARTS + 1) >= waves * (restarts + 1):
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


def drained(stage: Scene) -> bool:
    """Whether nothing is left in Redis."""
    try:
        return not checks.leftovers(stage.client)
    except RedisError:
        return False


def measure(stage: Scene, usual: float, restarts: int, stormy: int) -> dict[str, Any]:
    """Check everything, and give the figures."""
    until(lambda: drained(stage), DRAIN)
    waves, client = stage.waves, stage.client
    left = checks.leftovers(client)
    stormed = waves[-stormy:]
    pipes = [checks.pipes(wave, stage.runtime) for wave in waves]
    finished, pipe_errors, surplus = (sum(column) for column in zip(*pipes, strict=True))
    reruns, claims = (
        sum(column) for column in zip(*(checks.attempts(w, client) for w in waves), strict=True)
    )
    median, worst = checks.lateness(stormed, usual)
    counts = {name: int(client.get(f"chaos:{name}") or 0) for name in COUNTERS}
    info = checks.infos(stormed)
    faults = counts | {"kills": stage.crowd.kills, "restarts": restarts}
    folder = Path(client.config_get("dir")["dir"])
    return {
        "waves": len(stormed),
        "ended_by_deadline": checks.by_deadline(stormed),
        "expired": sum(i.reason == "expired" for i in info),
        "status_errors": checks.total(checks.status_errors, waves),
        "pipe_errors": pipe_errors,
        "window_errors": checks.total(lambda wave: checks.window_errors(wave, stage.runtime), waves),
        "overwritten": checks.overwritten(folder, waves),
        "leftovers": sum(left.values()) + claims,
        "left": ", ".join(f"{name}: {n}" for name, n in left.items()),
        "finished": finished,
        "surplus": surplus,
        "surplus_share": surplus / max(finished, 1),
        "usual_s": usual,
        "late_median_s": median,
        "late_worst_s": worst,
        "reruns": reruns,
        "lost_attempts": sum(i.lost for i in info),
        "orphans": stage.crowd.orphans,
        "faults": sum(faults.values()),
        **faults,
    }


def failures(figures: dict[str, Any]) -> list[str]:
    """Name the figures that are not as they must be."""
    bad = [
        n
        for n in ("status_errors", "pipe_errors", "window_errors", "overwritten", "leftovers", "orphans")
        if figures[n]
    ]
    if figures["ended_by_deadline"] < figures["waves"]:
        bad.append("ended_by_deadline")
    return bad + ["surplus_share"] * (figures["surplus_share"] > SURPLUS)


@click.command()
@click.option("--waves", default=30, show_default=True, help="how many waves")
@click.option("--entities", default=2000, show_default=True, help="how many entities each has")
@click.option("--deadline", default=180.0, show_default=True, help="seconds after which a wave is closed")
@click.option("--seed", default=0, show_default=True, help="decides who is killed")
@click.option("--mixed", is_flag=True, help="some of the workers are of the release before")
@click.option("--json", "path", type=click.Path(path_type=Path), help="file for the figures")
def main(waves: int, entities: int, deadline: float, seed: int, mixed: bool, path: Path | None) -> None:
    """Run waves while workers are killed, Redis restarts, sources hang and fail, and messages come twice."""
    began = time.monotonic()
    with scene(entities, deadline, seed, mixed=mixed) as stage:
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
