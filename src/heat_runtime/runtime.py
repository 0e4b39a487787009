"""`HeatRuntime`: the registry of a program's processors, and what runs them."""

from __future__ import annotations

import os
import sys
from typing import Any, ClassVar, TypeVar

from heat_runtime import local
from heat_runtime.dialect import Helpers
from heat_runtime.mode import Mode, mode_of
from heat_runtime.registry import Registry
from heat_runtime.settings import merged

P = TypeVar("P")


class HeatRuntime(Helpers):
    """Runs the registered processors: against the Stoker server of STOKER_URL, or alone on local files.

    A keyword wins over the command line, which wins over the environment. `stoker_url`, `stoker_token` and
    `stoker_namespace`: the server, and where in it. `runner_tag`: the runner's name. `shutdown_grace`: seconds (or
    `"25s"`) that a running task may take when the runner is told to stop. `local`: run without a server, whatever the
    environment says. `core_api_url`, `session_token`: a server that speaks HEAT. `runner_name`: what its configuration
    calls this runner. `poll_interval`: seconds between two claims. `node`: debug this node, and return.
    """

    _registry: ClassVar[Registry] = Registry()

    def __init__(
        self,
        *,
        stoker_url: str | None = None,
        stoker_token: str | None = None,
        stoker_namespace: str | None = None,
        runner_tag: str | None = None,
        shutdown_grace: str | float | None = None,
        local: bool | None = None,
        core_api_url: str | None = None,
        session_token: str | None = None,
        runner_name: str | None = None,
        poll_interval: str | float | None = None,
        node: int | None = None,
    ) -> None:
        self._keywords = {
            "stoker_url": stoker_url,
            "stoker_token": stoker_token,
            "stoker_namespace": stoker_namespace,
            "runner_tag": runner_tag,
            "shutdown_grace": shutdown_grace,
            "local": local,
            "core_api_url": core_api_url,
            "session_token": session_token,
            "runner_name": runner_name,
            "poll_interval": poll_interval,
            "node": node,
        }

    @classmethod
    def register(cls, processor: P) -> P:
        """Register a class (each task gets an instance) or an instance (each gets a copy); return it.

        Raises ValueError when TEMPLATE_NAME is empty, no name, or that of another processor; TypeError without
        `process`.
        """
        return cls._registry.register(processor)

    @classmethod
    def unregister(cls, name: str) -> Any:
        """Forget the processor of a template and return it. ValueError when there is none."""
        return cls._registry.unregister(name)

    def init(self) -> None:
        """Run, and return when it is over: after the one task of local mode, or when a signal has ended the runner.

        Raises RuntimeError when nothing is registered, and in local and debug mode what the processor raises. Exits
        with 1 when the server refuses the runner, with 2 on a wrong command line.
        """
        if not self._registry:
            raise RuntimeError("At least one processor must be registered before calling init()")
        settings = merged(self._keywords, sys.argv[1:], os.environ)
        match mode_of(settings):
            case Mode.LOCAL:
                local.run(settings, self._registry, self)
            case Mode.STOKER:
                from heat_runtime.serving import serve

                serve(settings, self._registry, self)
            case Mode.HEAT:
                from heat_runtime.served import serve as serve_heat

                serve_heat(settings, self._registry, self)
