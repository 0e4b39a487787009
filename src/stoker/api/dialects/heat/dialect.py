"""HEAT as this server speaks it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stoker.api.dialects.dialect import Dialect
from stoker.api.dialects.heat.bootstrap import furnish
from stoker.api.dialects.heat.desk import keep
from stoker.api.dialects.heat.envelope import Refusal
from stoker.api.dialects.heat.manner import Speaking
from stoker.api.dialects.heat.routes import ROUTES
from stoker.api.openapi import Terms
from stoker.config import Heat

if TYPE_CHECKING:
    from stoker.engine.engine import Engine


def heat(settings: Heat) -> Dialect:
    async def begin(engine: Engine) -> None:
        """What is done before it is served."""
        await engine.opaque.open()
        await keep(engine, settings.namespace, furnish)

    return Dialect(
        name="heat",
        heads=("api",),
        routes=ROUTES,
        manner=Speaking(settings),
        description="/api/openapi.json",
        terms=Terms(
            title="Stoker, as a HEAT Core API",
            summary="What the HEAT runtime calls",
            admission="bearer",
            scheme={"type": "http", "scheme": "bearer"},
            refusal=Refusal,
        ),
        namespace=settings.namespace,
        state=lambda _: settings,
        begin=begin,
    )
