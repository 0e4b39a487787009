"""Where a program runs: alone, or against a Stoker server."""

from __future__ import annotations

from enum import Enum

from heat_runtime.dialect import not_served
from heat_runtime.settings import CLUSTER, Settings


class Mode(Enum):
    LOCAL = "local"
    STOKER = "stoker"


def mode_of(settings: Settings) -> Mode:
    """Decide. Raises NotServed where only the HTTP dialect of HEAT would do.

    KUBERNETES_SERVICE_HOST is in the environment of every pod and names no server, so STOKER_URL has the say there.
    """
    if settings.debug:
        raise not_served("debug mode (--node)", "Debug without a server: HEAT_LOCAL=1 and --input KEY=PATH.")
    if settings.local:
        return Mode.LOCAL
    if settings.heat:
        raise not_served(" and ".join(settings.heat))
    if settings.stoker_url:
        return Mode.STOKER
    if settings.cluster:
        raise not_served(f"a cluster ({CLUSTER} is set) without STOKER_URL")
    return Mode.LOCAL
