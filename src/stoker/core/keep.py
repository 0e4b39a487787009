"""What is kept of runs that have ended: for how long, and how many. Times are microseconds.

`age` and `count` are for all of them; with `failed_age`, those that FAILED or were CANCELLED are kept for that long
instead, whatever else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from stoker.core.duration import SECOND, Micros, micros

KEY_HOLDS: Micros = 24 * 3_600 * SECOND
"""How long an idempotency key holds at least, from its trigger on; a run with one is not deleted sooner."""

_WORDS = ("age", "count", "failed_age")


class Keep(msgspec.Struct, frozen=True):
    """None: without end. Nothing given: everything is kept."""

    age: Micros | None = None
    count: int | None = None
    failed_age: Micros | None = None

    @property
    def everything(self) -> bool:
        return self == EVERYTHING


EVERYTHING = Keep()


class Ended(NamedTuple):
    """A run that has ended, at the top of its tree. `beyond`: so many newer ones are kept already."""

    failed: bool
    created_at: Micros
    ended_at: Micros
    keyed: bool
    beyond: bool


def expired(keep: Keep, run: Ended, now: Micros) -> bool:
    """Whether a run is beyond what is kept."""
    if run.keyed and now < run.created_at + KEY_HOLDS:
        return False
    apart = run.failed and keep.failed_age is not None
    age = keep.failed_age if apart else keep.age
    return (age is not None and run.ended_at < now - age) or (run.beyond and not apart)


def oldest(keep: Keep, now: Micros) -> Micros:
    """Before when a run must have been made to be too old by any rule; a run ends after it was made."""
    return max((now - age for age in (keep.age, keep.failed_age) if age is not None), default=0)


def keep_of(given: Mapping[str, Any]) -> Keep:
    """What a person wrote, as `{"age": "30d", "count": 1000}`. ValueError says what is wrong and what to do."""
    for word in given:
        if word not in _WORDS:
            raise ValueError(f"{word!r} says nothing about what to keep; Words: {', '.join(_WORDS)}.")
    return Keep(_age(given, "age"), _count(given.get("count")), _age(given, "failed_age"))


def _age(given: Mapping[str, Any], word: str) -> Micros | None:
    value = given.get(word)
    if value is None:
        return None
    try:
        return micros(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{word}: {error}; Write one like 30d or 12h.") from None


def _count(value: Any) -> int | None:
    if value is None:
        return None
    text = str(value)
    if isinstance(value, bool | float) or not (text.isascii() and text.isdigit()) or len(text) > 12:
        raise ValueError(f"count: {value!r} is no number of runs; Write one like 1000, from 0 on.")
    return int(text)
