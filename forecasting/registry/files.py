"""Where a registry's files lie: a folder, or a prefix of an S3 bucket.

Both know one way to write: create a key that is not there yet, whole or not at all. Nothing is ever overwritten or
renamed, so that two writers cannot lose each other's work, and a reader never sees half of a file.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from forecasting.errors import ModelError
from pipeline.connections.aws import aws_session

_TAKEN = ("PreconditionFailed", "412")
_AGAIN = ("ConditionalRequestConflict", "409")  # somebody writes the same key at this moment
_TRIES = 5
_PAGE = 1000  # keys that S3 lists or removes in one request


class Files(Protocol):
    """Files by key, a path with slashes."""

    place: str  # how a person names it

    def create(self, key: str, data: bytes) -> bool:
        """Write a file, unless there is one of that key: then give False and leave it as it is."""

    def read(self, key: str) -> bytes | None:
        """Return a file, None where there is none."""

    def find(self, prefix: str = "", after: str = "") -> list[str]:
        """List the keys under a prefix that ends in a slash (or is empty), sorted; those past `after` only."""

    def remove(self, keys: Iterable[str]) -> None:
        """Remove files; those that are not there are none."""


def open_files(place: str | Path) -> Files:
    """Open a folder, or `s3://bucket/prefix`. Raises ModelError for what is neither."""
    text = str(place)
    if text.startswith("s3://"):
        return S3Files(text)
    if "://" in text:
        raise ModelError(f"{text!r} holds no models: PIPELINE_MODELS is a folder or s3://bucket/prefix.")
    return FolderFiles(Path(text))


class FolderFiles:
    """A folder, which several machines may share. What a key leads to lies in it: a link is refused."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.place = str(root)

    def create(self, key: str, data: bytes) -> bool:
        """Write it beside, then give it its name: a link that is there already is refused by the system."""
        path = self._path(key)
        draft = path.with_name(f".{path.name}-{secrets.token_hex(6)}")
        with self._telling():
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                draft.write_bytes(data)
                os.link(draft, path)
            except FileExistsError:
                return False
            finally:
                draft.unlink(missing_ok=True)
        return True

    def read(self, key: str) -> bytes | None:
        """Return a file, None where there is none."""
        with self._telling():
            try:
                return self._path(key).read_bytes()
            except FileNotFoundError:
                return None

    def find(self, prefix: str = "", after: str = "") -> list[str]:
        """List the keys under a prefix, sorted."""
        found = []
        with self._telling():
            for folder, _, names in os.walk(self.root / prefix):
                inner = Path(folder).relative_to(self.root)
                found += [(inner / name).as_posix() for name in names if not name.startswith(".")]
        return sorted(key for key in found if key > after)

    def remove(self, keys: Iterable[str]) -> None:
        """Remove files, and the folders that this leaves empty."""
        with self._telling():
            for key in keys:
                folder, _, name = key.rpartition("/")
                path = self._path(folder) / name
                path.unlink(missing_ok=True)
                if folder and path.parent.is_dir() and not any(path.parent.iterdir()):
                    path.parent.rmdir()

    def _path(self, key: str) -> Path:
        """Find the place of a key. Raises ModelError where it leads out of the folder, or over a link."""
        root = os.path.realpath(self.root)
        plain = f"{root}/{key}" if key else root
        if "\0" in key or os.path.realpath(plain) != plain:
            raise ModelError(
                f"{self.place}/{key} is refused: a file of a model lies in its own folder, and is not a link. Remove "
                "it, or put the file itself there."
            )
        return Path(plain)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ModelError(
                f"the folder of models {self.root} cannot be used ({error}). Check that it is mounted and that "
                "this user may write there, or set PIPELINE_MODELS to another."
            ) from None


class S3Files:
    """A prefix of an S3 bucket; credentials, region and AWS_ENDPOINT_URL are boto3's."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.bucket, self.prefix = parts.netloc, parts.path.strip("/")
        if not self.bucket:
            raise ModelError(f"{url!r} names no bucket. It looks like s3://bucket/prefix.")
        self.place = f"s3://{self.bucket}/{self.prefix}".rstrip("/")
        self.page = _PAGE

    @cached_property
    def _client(self) -> Any:
        retries = {"mode": "standard", "max_attempts": _TRIES}
        # Not the default session: that one must not be made in two threads at once.
        session, config = aws_session("a registry in S3", None, ModelError, read_timeout=30, retries=retries)
        return session.client("s3", config=config)

    def create(self, key: str, data: bytes) -> bool:
        """Put an object on the condition that there is none of that key."""
        for _ in range(_TRIES):
            with self._telling() as answer:
                self._client.put_object(Bucket=self.bucket, Key=self._full(key), Body=data, IfNoneMatch="*")
                return True
            if answer.code in _TAKEN:
                return False
        raise ModelError(f"{self.place}/{key} is being written by too many at once. Try again.")

    def read(self, key: str) -> bytes | None:
        """Return an object, None where there is none."""
        with self._telling(("NoSuchKey", "404")):
            found: bytes = self._client.get_object(Bucket=self.bucket, Key=self._full(key))["Body"].read()
            return found
        return None

    def find(self, prefix: str = "", after: str = "") -> list[str]:
        """List the keys under a prefix, sorted as S3 does."""
        found: list[str] = []
        with self._telling():
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket,
                Prefix=self._full(prefix),
                PaginationConfig={"PageSize": self.page},
                **({"StartAfter": self._full(after)} if after else {}),
            )
            for page in pages:
                found += [entry["Key"][len(self._full("")) :] for entry in page.get("Contents", ())]
        return found

    def remove(self, keys: Iterable[str]) -> None:
        """Remove objects."""
        todo = [{"Key": self._full(key)} for key in keys]
        with self._telling():
            for start in range(0, len(todo), self.page):
                part = todo[start : start + self.page]
                self._client.delete_objects(Bucket=self.bucket, Delete={"Objects": part, "Quiet": True})

    def _full(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    @contextmanager
    def _telling(self, expected: tuple[str, ...] = (*_TAKEN, *_AGAIN)) -> Iterator[_Answer]:
        """Let the expected errors pass, their code in the answer; raise ModelError for all others."""
        # The client first: without boto3 there is no botocore to name the errors of.
        _ = self._client
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - the extra [aws]

        answer = _Answer()
        try:
            yield answer
        except ClientError as error:
            answer.code = str(error.response.get("Error", {}).get("Code", ""))
            if answer.code not in expected:
                raise self._error(error) from None
        except BotoCoreError as error:
            raise self._error(error) from None

    def _error(self, error: Exception) -> ModelError:
        return ModelError(
            f"the models in {self.place} cannot be reached ({error}). Check the bucket's name, the region and the "
            "credentials: reading needs s3:GetObject and s3:ListBucket, training s3:PutObject, pruning s3:DeleteObject."
        )


class _Answer:
    """What S3 said."""

    code = ""
