"""Clients of AWS' services, for a region that there is."""

from __future__ import annotations

from typing import Any

from pipeline.connections.aws import aws_session
from pipeline.errors import SettingsError, near


def clients(region: str | None = None, endpoint: str | None = None) -> Any:
    """Return a function: name of a service -> client. Raises SettingsError without boto3 or a region."""
    retries = {"mode": "standard", "max_attempts": 5}
    session, config = aws_session("`wave ecs`", region, read_timeout=30, retries=retries)
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
