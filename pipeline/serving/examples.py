"""A model to try serving with: `wave serve`."""

from __future__ import annotations

from typing import Any


def mean(instances: list[Any]) -> list[float]:
    """Return the mean of each list of numbers."""
    for place, numbers in enumerate(instances):
        if not isinstance(numbers, list) or not numbers:
            raise ValueError(f"instance {place} is not a list of numbers, or an empty one.")
        if not all(isinstance(number, int | float) for number in numbers):
            raise ValueError(f"instance {place} holds something that is not a number.")
    return [sum(numbers) / len(numbers) for numbers in instances]


EXAMPLES = {"example:mean": mean}  # by the names that the catalogue holds
