"""The client of a world: the usual one, whose calls are carried out in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from stoker.core.views import GraphView, RunRef
from stoker.runner.api import Api
from stoker.runner.client import Client
from stoker.runner.portal import Caller
from stoker.testing.run import Here, VirtualRun
from stoker.testing.wire import VirtualWire

T = TypeVar("T")


class VirtualClient(Client):
    """`serve`: told of each graph that is pushed as an object, so that its nodes are served."""

    def __init__(self, wire: VirtualWire, portal: Caller, world: Here, serve: Callable[[Any], None]) -> None:
        super().__init__(api=Api(wire=wire), portal=portal)
        self._world = world
        self._serve = serve

    def push(self, graph: Any) -> GraphView:
        view = super().push(graph)
        self._serve(graph)
        return view

    def run(self, run: int) -> VirtualRun:
        return VirtualRun(self, self._world, run)

    def _handle(self, ref: RunRef) -> VirtualRun:
        return VirtualRun(self, self._world, ref.id, created=ref.created)


class Caught:
    """Carries a client's calls out by a world's loop."""

    def __init__(self, call: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._call = call

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        found: T = self._call(coroutine)
        return found

    def close(self) -> None:
        """The loop is the world's."""
