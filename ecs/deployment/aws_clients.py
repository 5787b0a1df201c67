"""Clients of AWS' services, for a region that there is."""

from __future__ import annotations

from typing import Any

from pipeline.errors import SettingsError, near


def clients(region: str | None = None, endpoint: str | None = None) -> Any:
    """Return a function: name of a service -> client. Raises SettingsError without boto3 or a region."""
    try:
        import boto3  # noqa: PLC0415 - comes with the extra [aws]
        from botocore.config import Config  # noqa: PLC0415 - the same
    except ModuleNotFoundError:
        raise SettingsError(
            "`wave ecs` needs boto3, which comes with the extra [aws]. Install it: pip install 'celery-waves[aws]'"
        ) from None
    config = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "max_attempts": 5})
    session = boto3.Session(region_name=region)
    if session.region_name is None:
        raise SettingsError(
            "no AWS region: set AWS_DEFAULT_REGION, or give --region, as in --region eu-west-1."
        )
    _check_region(session)
    return lambda name: session.client(name, config=config, endpoint_url=endpoint)


def _check_region(session: Any) -> None:
    """Raise SettingsError for a region that is none: asking it would take a minute, and tell of the network."""
    known = {
        name
        for partition in session.get_available_partitions()
        for name in session.get_available_regions("ecs", partition)
    }
    if session.region_name not in known:
        raise SettingsError(
            f"there is no AWS region {session.region_name!r}.{near(session.region_name, known)} Correct --region or "
            "AWS_DEFAULT_REGION; for a region that is newer than the installed boto3: pip install -U boto3"
        )
