"""Against a Stoker server: one runner, one task at a time, until SIGTERM or SIGINT."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import sys
from typing import TYPE_CHECKING

from heat_runtime.registry import Registry
from heat_runtime.settings import Settings
from heat_runtime.work import HeatWork
from stoker.errors import Forbidden, Unauthorized

if TYPE_CHECKING:
    from heat_runtime.runtime import HeatRuntime

log = logging.getLogger("heat_runtime")


def serve(settings: Settings, registry: Registry, runtime: HeatRuntime) -> None:
    """Serve every registered processor. Exits with 1 when the server refuses this runner."""
    from stoker.runner.runner import Runner

    if settings.inputs or settings.folder is not None:
        log.warning("--input and --inputs are of the local mode, which HEAT_LOCAL=1 chooses: STOKER_URL is set")
    runner = Runner(
        [HeatWork(name, registry.of(name), runtime) for name in registry],
        url=settings.stoker_url,
        token=settings.stoker_token,
        namespace=settings.stoker_namespace,
        name=settings.runner_tag or tag(),
        batch_size=1,
        workers=1,
        grace=grace(settings.shutdown_grace),
        verbose=True,
    )
    try:
        runner.start()
    except (Unauthorized, Forbidden):  # the runner has logged it
        sys.exit(1)


def grace(given: str | float) -> str | float:
    """HEAT_SHUTDOWN_GRACE is a number of seconds; a duration like `25s` does too."""
    try:
        return float(given)
    except ValueError:
        return given


def tag() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
