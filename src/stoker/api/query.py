"""Query parameters: each route declares a struct of them; a name or value it does not know is refused."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qsl

import msgspec

from stoker.api import problems
from stoker.errors import Invalid

Limit = Annotated[int, msgspec.Meta(ge=1, le=1000, description="At most this many.")]
Wait = Annotated[float, msgspec.Meta(ge=0, le=60, description="Hold the call open for up to this many seconds.")]
After = Annotated[str, msgspec.Meta(description="Go on after this: the `after` of the page before.")]
Filter = Annotated[
    str,
    msgspec.Meta(
        description="Only those that all these terms hold for: `state=FAILED,CANCELLED tag.team=blue created>2d`."
    ),
]

Q = TypeVar("Q", bound="Query")

RerunBelow = Annotated[
    bool, msgspec.Meta(description="Whether joins that have fired, and all below them, are run again.")
]


class Query(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query parameters of a route that takes none."""


def decode(text: bytes, kind: type[Q]) -> Q:
    """The parameters of a query string. Invalid, naming the parameter."""
    if not text:
        given: dict[str, Any] = {}
    else:
        given = _pairs(text)
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        fault = problems.undecodable(error, "query")
        known = ", ".join(kind.__struct_fields__) or "none"
        raise Invalid(fault.message, place=fault.place, remedy=f"Known parameters: {known}.") from None


def _pairs(text: bytes) -> dict[str, str]:
    given: dict[str, str] = {}
    try:
        pairs = parse_qsl(text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError:
        raise Invalid("the query string is not readable as percent-encoded UTF-8", place="query") from None
    for name, value in pairs:
        if name in given:
            raise Invalid(f"the parameter {name!r} is given twice", place=f"query.{name}", remedy="Give it once.")
        given[name] = value
    return given
