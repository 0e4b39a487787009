"""Durations as people write them (`"250ms"`, `"2s"`, `"5m"`, `"1h30m"`, `12.5`) and as the engine counts them."""

from __future__ import annotations

import re

Micros = int  # UTC microseconds, or a length of time in microseconds

SECOND: Micros = 1_000_000
_UNITS: dict[str, Micros] = {"ms": 1_000, "s": SECOND, "m": 60 * SECOND, "h": 3_600 * SECOND, "d": 86_400 * SECOND}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_MOST = 1e10  # seconds


def micros(value: str | int | float) -> Micros:
    """Microseconds of a duration: a number is seconds, a text is `"2s"`, `"5m"`, `"1h30m"`. ValueError otherwise."""
    if not isinstance(value, str):
        return _bounded(value * SECOND, value)
    text = value.strip()
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"a duration is a number of seconds or a text like '2s' or '1h30m', not {value!r}")
    return _bounded(sum(float(number) * _UNITS[unit] for number, unit in parts), text)


def _bounded(found: float, value: str | float) -> Micros:
    if not 0 <= found < _MOST * SECOND:
        raise ValueError(f"a duration lies between 0 and {_MOST:.0e} seconds, not {value!r}")
    return round(found)
