"""Durations as people write them (`"250ms"`, `"2s"`, `"5m"`, `"1h30m"`, `12.5`) and as the engine counts them."""

from __future__ import annotations

import re

Micros = int  # UTC microseconds, or a length of time in microseconds

SECOND: Micros = 1_000_000
_UNITS: dict[str, Micros] = {"ms": 1_000, "s": SECOND, "m": 60 * SECOND, "h": 3_600 * SECOND, "d": 86_400 * SECOND}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def micros(value: str | int | float) -> Micros:
    """Microseconds of a duration: a number is seconds, a text is `"2s"`, `"5m"`, `"1h30m"`. ValueError otherwise."""
    if not isinstance(value, str):
        if not 0 <= value < 1e10:
            raise ValueError(f"a duration lies between 0 and 1e10 seconds, not {value!r}")
        return round(value * SECOND)
    text = value.strip()
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"a duration is a number of seconds or a text like '2s' or '1h30m', not {value!r}")
    return sum(round(float(number) * _UNITS[unit]) for number, unit in parts)
