"""Against a server that speaks HEAT: the loop of a runner, or debug mode."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from heat_runtime.beating import Beating
from heat_runtime.core_api import CoreApi, Refused
from heat_runtime.debug import debug
from heat_runtime.registry import Registry
from heat_runtime.serving import tag
from heat_runtime.settings import Settings, seconds

if TYPE_CHECKING:
    from heat_runtime.runtime import HeatRuntime


def serve(settings: Settings, registry: Registry, runtime: HeatRuntime) -> None:
    """Serve every registered processor; exits with 1 when the server refuses this runner. In debug mode, one node."""
    api = CoreApi(settings.core_api_url, settings.session_token)
    runtime.api = api
    if settings.node is None:
        Beating(
            api,
            registry,
            runtime,
            tag=settings.runner_tag or tag(),
            poll_s=seconds(settings.poll_interval),
            grace=seconds(settings.shutdown_grace),
        ).run()
        return
    try:
        debug(api, registry, runtime, int(settings.node))
    except Refused as refused:
        if refused.status not in (401, 403):
            raise
        print(refused, file=sys.stderr)
        sys.exit(1)
