"""AWS without AWS: a moto server or a ministack, reached over HTTP by AWS_ENDPOINT_URL as any boto3 client is.

moto knows many calls; ministack deploys whole templates of CloudFormation, and where a Docker engine is there, its ECS
runs real containers.
"""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.parsers import QueryParser

from pipeline.local.supervise import Processes
from tests.support.servers import free_port, until

REGION = "eu-west-1"


@contextmanager
def aws() -> Iterator[str]:
    """Start moto and point boto3 at it; gives its address. Costs some seconds, so share it."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    words = ["-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    own = {"MOTO_IAM_LOAD_MANAGED_POLICIES": "true"}
    with _pointed(address), _running("moto", words, f"{address}/moto-api/data.json", own):
        yield address


@contextmanager
def ministack(docker: str = "", host: str = "127.0.0.1") -> Iterator[str]:
    """Start ministack and point boto3 at it; gives its address.

    docker   the engine that runs its containers; without one they are said to run, and none does
    host     the address that it listens at, which containers must reach
    """
    port = free_port()
    address = f"http://{host}:{port}"
    env = {"GATEWAY_PORT": str(port), "BIND_HOST": host, "MINISTACK_REGION": REGION, "SFTP_ENABLED": "0"}
    env |= {"IOT_MTLS_ENABLED": "0", "DOCKER_HOST": docker or "unix:///nowhere"}
    health = f"{address}/_ministack/health"
    with _pointed(address), _lenient(), _running("ministack", ["-m", "ministack"], health, env):
        yield address


@contextmanager
def _lenient() -> Iterator[None]:
    """Take an answer without a result for an empty one: so ministack answers DeleteChangeSet."""
    strict = QueryParser._find_result_wrapped_shape

    def found(self: QueryParser, name: str, root: Any) -> Any:
        return strict(self, name, root) if name in self._build_name_to_xml_node(root) else root

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(QueryParser, "_find_result_wrapped_shape", found)
        yield


@contextmanager
def _pointed(address: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", address)
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


@contextmanager
def _running(name: str, words: Sequence[str], answers: str, env: Mapping[str, str]) -> Iterator[None]:
    with Processes(patience=0) as processes:
        processes.start(name, [sys.executable, *words], {**os.environ, **env})
        until(lambda: _answers(answers), 60)
        yield


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False
