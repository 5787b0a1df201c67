"""Bearer tokens: made here, kept as hashes, compared in constant time."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from pipeline.errors import SettingsError

_LINE = re.compile(r"(?P<name>[A-Za-z0-9._-]+)=sha256:(?P<digest>[0-9a-f]{64})\Z")


@dataclass(frozen=True, slots=True)
class Tokens:
    """Who may ask, by the hash of the token. A token is 256 random bits, so that a plain hash does not give it away."""

    hashes: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)  # name, digest

    @classmethod
    def parse(cls, lines: Iterable[str]) -> Self:
        """Read lines as `line` writes them; what follows a # is left out. Raises SettingsError."""
        found = []
        for number, line in enumerate(lines, 1):
            text = line.partition("#")[0].strip()
            if not text:
                continue
            match = _LINE.match(text)
            if match is None:
                raise SettingsError(
                    f"token {number} is none: one looks like NAME=sha256:HASH. `wave serving token NAME` makes one."
                )
            found.append((match["name"], bytes.fromhex(match["digest"])))
        return cls(tuple(found))

    def __bool__(self) -> bool:
        return bool(self.hashes)

    def owner(self, header: bytes | None) -> str | None:
        """Return the name of who holds the token of an Authorization header; None where it is not known.

        Browsers know Basic and no Bearer: there the token is the password, whatever the name.
        """
        scheme, _, token = (header or b"").partition(b" ")
        if scheme.lower() == b"basic":
            token = _password(token)
        digest = hashlib.sha256(token.strip()).digest()
        found = None
        for name, known in self.hashes:  # all of them, so that the time tells nothing
            if hmac.compare_digest(digest, known):
                found = name
        return found if scheme.lower() in (b"bearer", b"basic") else None


def _password(encoded: bytes) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True).partition(b":")[2]
    except ValueError:
        return b""


def new_token() -> str:
    """Build a token."""
    return secrets.token_urlsafe(32)


def line(name: str, token: str) -> str:
    """Write the line that lets a token in; the token cannot be found from it."""
    return f"{name}=sha256:{hashlib.sha256(token.encode()).hexdigest()}"
