"""What callers do to an installation: they trigger random graphs, cancel and retry runs and tasks, and look."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TypeVar

import msgspec

from stoker.core.graph import GraphSpec
from stoker.core.views import PushRequest, RunRef, RunView, TriggerRequest
from stoker.errors import Conflict, Rejected, Unavailable
from stoker.runner.client import Client
from stoker.selftest import work
from stoker.selftest.draw import SEED, random_graph

T = TypeVar("T")

AT_ONCE = 8  # runs of a caller that are going on
RERUN_SHARE = 0.3  # of retries, with all that is below

_ACTS = {"trigger": 70, "cancel": 6, "cancel a task": 3, "retry": 8, "retry a task": 6, "look": 12}

KINDS = tuple(step.kind for step in work.STEPS)


class Acts:
    """`runs`: what was acknowledged. `retried`: runs that it asked to retry, whether that was acknowledged or not.

    `pause` waits a little while the server is away; False: it will not come back.
    """

    def __init__(self, name: str, client: Client, seed: str, pause: Callable[[], bool]) -> None:
        self.name = name
        self.runs: list[int] = []
        self.retried: set[int] = set()
        self._client = client
        self._seed = seed
        self._dice = Random(f"{seed}/{name}")  # noqa: S311 - draws what happens, protects nothing
        self._pause = pause

    def act(self) -> None:
        """Do one thing, drawn."""
        match self._dice.choices(tuple(_ACTS), tuple(_ACTS.values()))[0]:
            case "trigger" if len(self._going_on()) < AT_ONCE:
                self._trigger()
            case "cancel" if self.runs:
                self._ended(self._dice.choice(self.runs[-20:]))
            case "retry" if self.runs:
                self._retry(self._dice.choice(self.runs[-40:]))
            case "cancel a task" if self.runs:
                self._cancel_task(self._dice.choice(self.runs[-10:]))
            case "retry a task" if self.runs:
                self._retry_task(self._dice.choice(self.runs[-40:]))
            case _:
                self._look()

    def _trigger(self) -> None:
        """A graph of its own for most runs; the same key twice is the same run."""
        number = len(self.runs)
        name = f"{self.name}-{number if self._dice.random() < 0.7 else 0}"
        graph = random_graph(Random(f"{self._seed}/{name}"), name)  # noqa: S311 - as above
        self._patiently(lambda: self._pushed(graph))
        key = f"{self._seed}/{self.name}/{number}"
        inputs = {SEED: msgspec.Raw(msgspec.json.encode(key))}
        priority = self._dice.choice((0, 5, 5, 9))
        request = TriggerRequest(graph=name, inputs=inputs, idempotency_key=key, priority=priority)
        found = [self._patiently(lambda: self._triggered(request)) for _ in range(self._dice.choice((1, 1, 1, 2)))]
        self.runs.append(found[0].id)
        if len({ref.id for ref in found}) > 1:
            raise AssertionError(f"the key {key!r} gave two runs: {found}")

    def _pushed(self, graph: GraphSpec) -> None:
        self._client.call(self._client.api.push(PushRequest(graph=graph, kinds=KINDS)))

    def _triggered(self, request: TriggerRequest) -> RunRef:
        return self._client.call(self._client.api.trigger(request))

    def _ended(self, run: int) -> None:
        self._tolerantly(lambda: self._client.run(run).cancel())

    def _retry(self, run: int) -> None:
        self.retried.add(run)
        below = self._dice.random() < RERUN_SHARE
        self._tolerantly(lambda: self._client.run(run).retry(rerun_below=below))

    def _cancel_task(self, run: int) -> None:
        state = self._dice.choice(("READY", "LEASED"))
        page = self._patiently(lambda: self._client.call(self._client.api.tasks(run, state=state, limit=20)))
        if page.items:
            task = self._dice.choice(page.items).id
            self._tolerantly(lambda: self._client.call(self._client.api.cancel_task(task)))

    def _retry_task(self, run: int) -> None:
        """One of those that FAILED or were pruned or cancelled, also while the run goes on."""
        state = self._dice.choice(("FAILED", "FAILED", "PRUNED", "CANCELLED"))
        page = self._patiently(lambda: self._client.call(self._client.api.tasks(run, state=state, limit=20)))
        if page.items:
            task, below = self._dice.choice(page.items).id, self._dice.random() < RERUN_SHARE
            self.retried.add(run)
            self._tolerantly(lambda: self._client.call(self._client.api.retry_task(task, rerun_below=below)))

    def _look(self) -> None:
        """Reads must be answered too."""
        for run in self.runs[-1:]:
            self._patiently(lambda: self._client.run(run).explain())  # noqa: B023 - called at once

    def _going_on(self) -> list[RunView]:
        page = self._patiently(lambda: self._client.call(self._client.api.runs(state="RUNNING", limit=50)))
        mine = set(self.runs)
        return [view for view in page.items if view.id in mine]

    def _tolerantly(self, call: Callable[[], object]) -> None:
        try:
            self._patiently(call)
        except Conflict:
            return  # it has ended meanwhile, or has nothing to retry

    def _patiently(self, call: Callable[[], T]) -> T:
        """Again while the server is away."""
        while True:
            try:
                return call()
            except Unavailable:
                if not self._pause():
                    raise
            except Rejected:
                raise
