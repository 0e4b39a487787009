"""The two shapes of answers: each call of HEAT's clients reads one of them, and some fall silent on the other."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

from stoker.api.call import Answer

T = TypeVar("T")
MEDIA_TYPE = "application/json; charset=utf-8"


class Envelope(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """An answer as some calls read it."""

    template: T
    status: bool = True
    message: str = "ok"


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Every error."""

    status: bool = False
    message: str


def bare(value: Any, status: int = 200) -> Answer:
    return Answer(status=status, body=msgspec.json.encode(value), media_type=MEDIA_TYPE)


def enveloped(value: Any, status: int = 200) -> Answer:
    return bare(Envelope(template=value), status)
