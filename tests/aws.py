"""AWS without AWS: a moto server, reached over HTTP by AWS_ENDPOINT_URL as any boto3 client is."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pipeline.supervise import Processes
from tests.servers import free_port, until

REGION = "eu-west-1"


@contextmanager
def aws() -> Iterator[str]:
    """Start a server and point boto3 at it; gives its address. Costs some seconds, so share it."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with pytest.MonkeyPatch.context() as patch, Processes(patience=0) as processes:
        patch.setenv("AWS_ENDPOINT_URL", address)
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
        processes.start("moto", [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], {})
        until(lambda: _answers(address), 60)
        yield address


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/moto-api/data.json", timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False
