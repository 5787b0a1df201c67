"""Clients of AWS, for what needs the extra [aws]."""

from __future__ import annotations

from typing import Any

from pipeline.errors import PipelineError, SettingsError


def aws_session(
    what: str, region: str | None = None, kind: type[PipelineError] = SettingsError, **options: Any
) -> tuple[Any, Any]:
    """Return a session of boto3, and the configuration of its clients: patient for some seconds, trying again.

    Raises SettingsError, or an error of that kind, which says what needs boto3.
    """
    try:
        import boto3  # noqa: PLC0415 - comes with the extra [aws]
        from botocore.config import Config  # noqa: PLC0415 - the same
    except ImportError:
        raise kind(f"{what} needs boto3. Install it: pip install 'celery-waves[aws]'") from None
    standard = {"connect_timeout": 5, "read_timeout": 10, "retries": {"mode": "standard"}}
    return boto3.Session(region_name=region), Config(**(standard | options))
