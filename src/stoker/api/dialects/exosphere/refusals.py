"""What a caller of this dialect is told if a call is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stoker.errors import Rejected


class Unprocessable(Rejected):
    """The body is not what the route takes. `entries`: what is wrong, each with `type`, `loc`, `msg` and `input`."""

    code = "unprocessable"
    status = 422

    def __init__(self, entries: Sequence[dict[str, Any]]) -> None:
        super().__init__("; ".join(str(entry["msg"]) for entry in entries))
        self.entries = list(entries)


def entry(sort: str, loc: Sequence[str | int], message: str, given: Any = None, **context: Any) -> dict[str, Any]:
    """One thing that is wrong."""
    made: dict[str, Any] = {"type": sort, "loc": list(loc), "msg": message, "input": given}
    return made | {"ctx": context} if context else made
