"""The dialects that settings name, made of their sections."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from stoker.api.dialects.dialect import Dialect
from stoker.api.dialects.exosphere.dialect import exosphere
from stoker.api.dialects.heat.dialect import heat
from stoker.config import Settings

MAKE: Mapping[str, Callable[[Settings], Dialect]] = {
    "exosphere": lambda settings: exosphere(settings.exosphere),
    "heat": lambda settings: heat(settings.heat),
}


def made(settings: Settings) -> list[Dialect]:
    return [MAKE[name](settings) for name in settings.dialects]
