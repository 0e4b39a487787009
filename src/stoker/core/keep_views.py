"""What is said about retention on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from stoker.core.keep import Keep, keep_of
from stoker.errors import Invalid


class KeepSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is kept of runs that have ended; nothing given: everything.

    `age`: for how long after their end, as `30d` or in seconds. `count`: how many, the newest. `failed_age`: instead
    of both, for how long those that FAILED or were CANCELLED.
    """

    age: str | float | None = None
    count: int | None = None
    failed_age: str | float | None = None

    @property
    def meaning(self) -> Keep:
        """What it means. Invalid, naming the word, if it means nothing."""
        return parsed(msgspec.structs.asdict(self))


class KeepView(msgspec.Struct, frozen=True, kw_only=True):
    """The rule of a namespace. `source`: the namespace's own, the server's settings, or `default` (everything).

    `beyond`: how many runs are beyond it just now, and are or would be deleted; at most 10,000 are counted.
    """

    keep: KeepSpec
    source: Literal["namespace", "settings", "default"]
    beyond: int = 0


def keep_spec(text: str) -> KeepSpec:
    """A rule as settings have it, such as `age=30d,count=1000`. Invalid if it means nothing."""
    given = dict(part.split("=", 1) for part in text.split(",")) if text else {}
    keep = parsed(given)
    return KeepSpec(age=given.get("age"), count=keep.count, failed_age=given.get("failed_age"))


def parsed(given: Mapping[str, Any]) -> Keep:
    """What a rule means. Invalid, naming the word, if it means nothing."""
    try:
        return keep_of(given)
    except ValueError as error:
        message, _, remedy = str(error).partition("; ")
        raise Invalid(f"{message}.", code="bad_keep", place="keep", remedy=remedy) from None
