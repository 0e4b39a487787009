"""Kills and stalls the runners and the server of a world now and then, as its faults say. Its dice say when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, Protocol

from stoker.core.duration import SECOND, micros
from stoker.core.graph import Duration
from stoker.testing.faults import Faults
from stoker.testing.loop import LONG
from stoker.testing.runner import Runner


class Victims(Protocol):
    """The world, as its nemesis sees it."""

    def kill(self, runner: Runner) -> None: ...
    def start(self, runner: Runner) -> None: ...
    def stall(self, runner: Runner, duration: Duration) -> None: ...
    async def crash(self) -> None: ...


class Nemesis:
    def __init__(self, seed: int, faults: Faults, victims: Victims) -> None:
        self._dice = Random(f"{seed} nemesis")  # noqa: S311 - draws what happens, protects nothing
        self._faults = faults
        self._victims = victims

    def attacks(self, runner: Runner) -> list[Coroutine[Any, Any, None]]:
        """What goes on against one runner, for ever."""
        return [
            self._often(self._faults.deaths, lambda: self._death(runner)),
            self._often(self._faults.stalls, lambda: self._stall(runner)),
        ]

    def crashes(self) -> Coroutine[Any, Any, None]:
        """What goes on against the server."""
        return self._often(self._faults.crashes, self._victims.crash)

    async def _often(self, every: Duration | None, attack: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while every is not None:
            await _unnoticed(self._dice.expovariate(1 / (micros(every) / SECOND)))
            await attack()

    async def _death(self, runner: Runner) -> None:
        if runner.alive:
            self._victims.kill(runner)
            await _unnoticed(self._dice.uniform(0, micros(self._faults.away) / SECOND))
            self._victims.start(runner)

    async def _stall(self, runner: Runner) -> None:
        if runner.alive:
            self._victims.stall(runner, self._dice.uniform(0, micros(self._faults.stalled_for) / SECOND))


async def _unnoticed(seconds: float) -> None:
    """Sleep in parts, so that it does not look as if something waited for the end of it."""
    while seconds > 0:
        part = min(seconds, LONG / SECOND / 2)
        await asyncio.sleep(part)
        seconds -= part
