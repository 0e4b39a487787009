"""Exosphere as this server speaks it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from stoker.api.dialects.dialect import Dialect
from stoker.api.dialects.exosphere.manner import Speaking
from stoker.api.dialects.exosphere.routes import ROUTES
from stoker.api.openapi import Terms
from stoker.config import Exosphere

if TYPE_CHECKING:
    from stoker.engine.engine import Engine


class Detail(msgspec.Struct, frozen=True):
    """Why a call was refused: a text, or (422) what is wrong with which part of it."""

    detail: str | list[dict[str, Any]]


async def begin(engine: Engine) -> None:
    """What is done before it is served."""
    await engine.opaque.open()


def exosphere(settings: Exosphere) -> Dialect:
    return Dialect(
        name="exosphere",
        heads=("v0", "health"),
        routes=ROUTES,
        manner=Speaking(settings.origins),
        description="/v0/openapi.json",
        terms=Terms(
            title="Stoker, as an Exosphere state manager",
            summary="What exospherehost and the dashboard of Exosphere call",
            admission="key",
            scheme={"type": "apiKey", "in": "header", "name": "x-api-key"},
            refusal=Detail,
        ),
        state=lambda _: settings,
        begin=begin,
    )
