"""Pages of lists: how long one may be, and where the next one begins."""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from stoker.errors import Invalid

LARGEST_PAGE = 1_000


def limited(limit: int) -> int:
    """A page's length, if it is one."""
    if not 1 <= limit <= LARGEST_PAGE:
        raise Invalid(f"a page has 1 to {LARGEST_PAGE} entries, not {limit}.", code="bad_limit", place="limit")
    return limit


def key(*parts: int | bytes | str) -> str:
    """Where a page ended, as its reader is told."""
    return base64.urlsafe_b64encode(msgspec.json.encode(parts)).decode().rstrip("=")


def cursor(after: str, types: tuple[type, ...]) -> tuple[Any, ...]:
    """What `key` was made of. Invalid if it was not."""
    try:
        body = base64.urlsafe_b64decode(after + "=" * (-len(after) % 4))
        return msgspec.json.decode(body, type=tuple[types])  # type: ignore[valid-type]  # built from its argument
    except (ValueError, msgspec.DecodeError):
        raise Invalid(
            "this is not a cursor of this list.",
            code="bad_cursor",
            place="after",
            remedy="Pass on what the last page gave as `after`.",
        ) from None
