"""The runners of a world: the real runner's loop and session, in virtual time. One can be killed, or stand still."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

from stoker.core.digest import digest
from stoker.core.duration import Micros
from stoker.core.protocol import RunnerInfo
from stoker.runner.http import HttpTransport
from stoker.runner.loop import Loop
from stoker.runner.session import Session
from stoker.runner.settings import DEFAULT_NAMESPACE
from stoker.runner.surroundings import Surroundings
from stoker.runner.work import Work
from stoker.testing.files import VirtualFiles
from stoker.testing.loop import VirtualLoop, hushed
from stoker.testing.mocks import Mocked, Mocks
from stoker.testing.nature import VirtualClock
from stoker.testing.network import Network
from stoker.testing.server import TOKEN, Server
from stoker.testing.wire import URL, Line, VirtualWire
from stoker.testing.workers import Seen, VirtualWorkers

FOR_EVER_S = float("inf")
BATCH = 16  # tasks asked for at once, as by a real runner


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What all runners of a world share."""

    seed: int
    loop: VirtualLoop
    clock: VirtualClock
    network: Network
    server: Server
    mocks: Mocks
    seen: Seen


class Offer(NamedTuple):
    """What a runner serves, and what it says of itself."""

    works: Mapping[str, Work]
    labels: Mapping[str, str]
    resources: Mapping[str, float]


class Runner:
    """One machine that runs nodes. `labels`, `resources`: what it offers; None: whatever is required."""

    def __init__(
        self,
        name: str,
        site: Site,
        *,
        workers: int,
        labels: Mapping[str, str] | None,
        resources: Mapping[str, float] | None,
    ) -> None:
        self.name = name
        self.alive = False
        self._site = site
        self._workers = workers
        self._labels = labels
        self._resources = resources
        self._dice = Random(f"{site.seed} {name}")  # noqa: S311 - draws what happens, protects nothing
        self._processes: list[_Process] = []  # the newest serves; others may still have something to do

    def __repr__(self) -> str:
        return f"<runner {self.name}: {'alive' if self.alive else 'dead'}>"

    def start(self, offer: Offer) -> None:
        """Serve these nodes from now on. A process that does already ends, once it has done what it holds."""
        self.alive = True
        self._processes = [process for process in self._processes if not process.task.done()]
        for process in self._processes:
            process.loop.stop(FOR_EVER_S)
        if offer.works:
            self._processes.append(self._begun(offer))

    def kill(self) -> None:
        """End as a process does that is killed: its connections close, and nothing is said."""
        self.alive = False
        for process in self._processes:
            process.line.cut = True
            process.task.cancel()
        self._processes.clear()

    def stall(self, micros: Micros) -> None:
        """Stand still for so long: nothing comes from it or reaches it, and no connection closes."""
        for process in self._processes:
            process.line.held = self._site.loop.micros + micros

    def _begun(self, offer: Offer) -> _Process:
        site = self._site
        line = Line(site.loop, site.network, site.server)
        around = Surroundings(
            now=site.loop.time,
            jitter=self._dice.random,
            workers=lambda _, *rest: VirtualWorkers(site.loop, site.clock.now, site.seen, *rest),
            access=VirtualFiles,
        )
        works: dict[str, Any] = {name: Mocked(work, site.mocks) for name, work in offer.works.items()}
        session = Session(self._dice.randbytes(16).hex(), self._info(offer), batch=BATCH)
        transport = HttpTransport(URL, wire=VirtualWire(line, TOKEN))
        loop = Loop(session, transport, DEFAULT_NAMESPACE, works, self._workers, around)
        return _Process(line, loop, site.loop.create_task(loop.serve(), context=hushed()))

    def _info(self, offer: Offer) -> RunnerInfo:
        return RunnerInfo(
            name=self.name,
            kinds=sorted(offer.works),
            labels=dict(offer.labels if self._labels is None else self._labels),
            resources=dict(offer.resources if self._resources is None else self._resources),
            capacity=max(BATCH, self._workers),
            digests={name: str(digest(work.kind)) for name, work in offer.works.items()},
        )


class _Process(NamedTuple):
    """One start of a runner."""

    line: Line
    loop: Loop
    task: asyncio.Task[None]
