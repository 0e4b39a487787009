"""The dialects that settings name, made of their sections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from stoker.config import Settings

if TYPE_CHECKING:
    from stoker.api.dialects.dialect import Dialect


def _exosphere(settings: Settings) -> Dialect:
    from stoker.api.dialects.exosphere.dialect import exosphere

    return exosphere(settings.exosphere)


def _heat(settings: Settings) -> Dialect:
    from stoker.api.dialects.heat.dialect import heat

    return heat(settings.heat)


MAKE: Mapping[str, Callable[[Settings], Dialect]] = {"exosphere": _exosphere, "heat": _heat}


def made(settings: Settings) -> list[Dialect]:
    """A dialect that is off is not even imported."""
    return [MAKE[name](settings) for name in settings.dialects]
