"""`wave demo`: the shipped flows on real Redis and real workers, from an empty machine to a picture.

Uses `tasks.delays` and `tasks.flights`. Begin with `play`.
"""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli.session import Session, with_redis


@click.command()
@click.option(
    "--days",
    type=click.IntRange(20, 150),
    default=60,
    show_default=True,
    help="Days of history to load and train on.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo"),
    show_default=True,
    help="Folder for the picture.",
)
@with_redis
def demo(session: Session, days: int, out: Path) -> None:
    """Forecast a day of real flights by hourly waves, with an outage in the middle.

    Loads some weeks of 2013's flights from New York hour by hour, trains a model for each airport, and runs the
    24 waves of 25 June on two Celery workers. For six hours the departures do not answer; the forecasts of earlier
    hours answer then. Uses the Redis of --redis or REDIS_URL, else one of its own that is gone afterwards.
    """
    # A second of imports that `wave --help` and a wrong option do not pay for.
    from tasks.demo.play import play  # noqa: PLC0415

    play(session, days, out)
