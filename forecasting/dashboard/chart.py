"""A forecast as a picture: intervals, means, what came, in pixels. Pure; the template writes the SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from forecasting.dashboard.outlook import Hour, Outlook
from forecasting.models.columns import FRESH, LEVELS, OLDER
from forecasting.reading.reader import Forecast
from pipeline.flows.pipe import ONE_HOUR, stamp

LEFT, RIGHT, TOP, BOTTOM = 52, 10, 22, 46
STRIP = 8  # pixels of the strip under the axis that tells each hour's source
NEAR = 52  # pixels between two labels of hours at least
STEPS = (1, 2, 3, 6, 12, 24, 48)  # hours
KINDS = ("fresh", "older", "made")  # of answers, as the style names them

Optional = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Shape:
    """A path, and what it shows."""

    kind: str  # fresh, older or made; 80 or 95 beside it for intervals
    path: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A label of an axis."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Column:
    """An hour: where it stands, and what it shows in words."""

    x: float
    width: float
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """The whole picture."""

    width: int
    height: int
    bands: Sequence[Shape]  # the widest first
    lines: Sequence[Shape]
    older: Sequence[Shape]
    truth: Sequence[str]  # paths
    dots: Sequence[tuple[float, float]]  # each observed hour
    columns: Sequence[Column]
    across: Sequence[Tick]
    up: Sequence[Tick]
    issued: float  # where the hours to come begin


def kind_of(forecast: Forecast | None) -> str:
    """Return the kind of an answer: fresh, older, or made on the spot; nothing where there is none."""
    if forecast is None:
        return ""
    return {FRESH: "fresh", OLDER: "older"}.get(forecast.source, "made")


def number(value: float) -> str:
    """Write a number as it stands in a picture or a table."""
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


@dataclass(frozen=True, slots=True)
class _Scale:
    first: datetime
    step: float  # pixels an hour
    low: float
    high: float
    bottom: float

    def x(self, at: datetime) -> float:
        return LEFT + ((at - self.first) / ONE_HOUR + 0.5) * self.step

    def y(self, value: float) -> float:
        return TOP + (self.high - value) / (self.high - self.low) * (self.bottom - TOP)

    def point(self, x: float, value: float) -> str:
        return f"{x:.1f} {self.y(value):.1f}"


def draw(found: Outlook, width: int, height: int) -> Chart:
    """Draw an outlook in so many pixels."""
    hours = found.hours
    ticks = nice(*_span(found))
    bottom = height - BOTTOM
    step = (width - LEFT - RIGHT) / len(hours)
    scale = _Scale(hours[0].at, step, ticks[0], ticks[-1], bottom)
    kinds = [kind_of(hour.forecast) for hour in hours]
    means = [hour.forecast.value if hour.forecast else None for hour in hours]
    return Chart(
        width,
        height,
        [shape for level in reversed(LEVELS) for shape in _bands(scale, hours, kinds, level)],
        [Shape(kind, _line(scale, hours, means, a, b)) for kind, a, b in runs(kinds) if kind],
        [Shape(f"{stamp(issued)}", _open(scale, line)) for issued, line in found.older],
        _truths(scale, hours),
        [
            (round(scale.x(h.at), 1), round(scale.y(h.truth), 1))
            for h in hours
            if h.truth is not None and step > 5
        ],
        [
            Column(round(scale.x(h.at) - step / 2, 1), round(step, 2), kind, in_words(h))
            for h, kind in zip(hours, kinds, strict=True)
        ],
        list(_across(scale, hours)),
        [Tick(round(scale.y(value), 1), number(value)) for value in ticks],
        round(scale.x(found.issued) + step / 2, 1),
    )


def in_words(hour: Hour) -> str:
    """Return what an hour shows."""
    parts = [f"{hour.at:%d %b %H:%M}"]
    if hour.truth is not None:
        parts.append(f"observed {number(hour.truth)}")
    told = hour.forecast
    if told is None:
        return "; ".join([*parts, "no forecast"])
    bounds = [f"{text} in {level} %" for level in LEVELS if (text := interval(told, level))]
    age = f"{told.source}, made {told.lead} h before"
    return "; ".join([*parts, f"forecast {number(told.value)}", *bounds, age])


def interval(forecast: Forecast, level: int) -> str:
    """Write an interval, nothing where there is none."""
    low, high = forecast.bounds.get(f"lo-{level}"), forecast.bounds.get(f"hi-{level}")
    return "" if low is None or high is None else f"{number(low)} to {number(high)}"


def nice(low: float, high: float, count: int = 5) -> list[float]:
    """Return round numbers from at most `low` to at least `high`, some `count` of them."""
    if not high > low:
        low, high = low - (abs(low) * 0.1 or 1.0), high + (abs(high) * 0.1 or 1.0)
    rough = (high - low) / count
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(n * step, 12) for n in range(first, last + 1)]


def runs(kinds: Sequence[str]) -> list[tuple[str, int, int]]:
    """Cut into stretches of one kind: kind, start, and the end that does not belong to it."""
    starts = [i for i, kind in enumerate(kinds) if i == 0 or kind != kinds[i - 1]]
    return [(kinds[a], a, b) for a, b in pairwise([*starts, len(kinds)])]


def _span(found: Outlook) -> tuple[float, float]:
    values = [hour.truth for hour in found.hours if hour.truth is not None]
    for hour in found.hours:
        if hour.forecast is not None:
            values += [hour.forecast.value, *hour.forecast.bounds.values()]
    values += [y for _, line in found.older for _, y in line]
    values = [value for value in values if math.isfinite(value)]
    return (min(values), max(values)) if values else (0.0, 1.0)


def _bands(scale: _Scale, hours: Sequence[Hour], kinds: Sequence[str], level: int) -> Iterator[Shape]:
    low, high = (
        [h.forecast.bounds.get(f"{side}-{level}") if h.forecast else None for h in hours]
        for side in ("lo", "hi")
    )
    there = [
        kind if a is not None and b is not None else "" for kind, a, b in zip(kinds, low, high, strict=True)
    ]
    for kind, a, b in runs(there):
        if kind:
            upper = _edge(scale, hours, high, a, b)
            lower = _edge(scale, hours, low, a, b)
            yield Shape(f"{kind} in{level}", f"M{' L'.join([*upper, *reversed(lower)])} Z")


def _line(scale: _Scale, hours: Sequence[Hour], values: Optional, start: int, end: int) -> str:
    return f"M{' L'.join(_edge(scale, hours, values, start, end))}"


def _edge(scale: _Scale, hours: Sequence[Hour], values: Optional, start: int, end: int) -> list[str]:
    """Return the points from half an hour before a stretch to half an hour after, where the next one goes on."""
    half = scale.step / 2
    own = [(scale.x(hours[i].at), value) for i in range(start, end) if (value := values[i]) is not None]
    first, last = own[0], own[-1]
    left = _between(values[start - 1] if start else None, first[1])
    right = _between(values[end] if end < len(values) else None, last[1])
    points = [(first[0] - half, left), *own, (last[0] + half, right)]
    return [scale.point(x, value) for x, value in points]


def _between(other: float | None, value: float) -> float:
    return value if other is None else (other + value) / 2


def _open(scale: _Scale, line: Sequence[tuple[datetime, float]]) -> str:
    return f"M{' L'.join(scale.point(scale.x(at), value) for at, value in line)}"


def _truths(scale: _Scale, hours: Sequence[Hour]) -> list[str]:
    known = ["y" if hour.truth is not None else "" for hour in hours]
    return [
        _open(scale, [(h.at, h.truth) for h in hours[a:b] if h.truth is not None])
        for kind, a, b in runs(known)
        if kind and b - a > 1
    ]


def _across(scale: _Scale, hours: Sequence[Hour]) -> Iterator[Tick]:
    every = next((step for step in STEPS if step * scale.step >= NEAR), STEPS[-1])
    for hour in hours:
        at = hour.at
        if every < 24 and at.hour % every == 0:
            yield Tick(round(scale.x(at), 1), f"{at:%-d %b}" if at.hour == 0 else f"{at:%H:%M}")
        elif every >= 24 and at.hour == 0 and at.toordinal() % (every // 24) == 0:
            yield Tick(round(scale.x(at), 1), f"{at:%-d %b}")
