"""Where a program runs: alone, against a Stoker server, or against any server that speaks HEAT."""

from __future__ import annotations

from enum import Enum

from heat_runtime.settings import Settings


class Mode(Enum):
    LOCAL = "local"
    STOKER = "stoker"
    HEAT = "heat"


def mode_of(settings: Settings) -> Mode:
    """Decide. KUBERNETES_SERVICE_HOST is in the environment of every pod, so STOKER_URL has the say there."""
    if settings.node is not None:
        return Mode.HEAT
    if settings.local:
        return Mode.LOCAL
    if settings.heat:
        return Mode.HEAT
    if settings.stoker_url:
        return Mode.STOKER
    return Mode.HEAT if settings.cluster else Mode.LOCAL
