"""Which version of a model answers a request: sticky by a key, in proportion to weights. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

_RANGE = float(1 << 64)


def share(key: str, salt: str = "") -> float:
    """Place a key in [0, 1), evenly and always at the same place for the same salt."""
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8, salt=_salt(salt))
    return int.from_bytes(digest.digest(), "big") / _RANGE


def choose(weights: Mapping[str, float], key: str, salt: str = "") -> str | None:
    """Return the version that a key belongs to; None for the live one, which has what the weights leave of 1.

    weights   version -> its share of the traffic, in (0, 1]; together 1 at most
    salt      the model's name, so that two tests do not split the keys in the same way

    Versions are laid side by side by their names, so that a key changes sides only as far as shares do.
    """
    place, edge = share(key, salt), 0.0
    for version in sorted(weights):
        edge += weights[version]
        if place < edge:
            return version
    return None


def sampled(key: str, fraction: float, salt: str = "") -> bool:
    """Return whether a key is among a fraction of all keys."""
    return fraction >= 1 or share(key, salt + " shadow") < fraction


def _salt(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
