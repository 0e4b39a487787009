"""The loop of a runner against the HTTP API of HEAT: one task at a time, in a thread, while this one keeps its lease.

`process` may block for as long as it likes: what it runs in is another thread than what beats.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from heat_runtime.attempt import attempt
from heat_runtime.core_api import CoreApi, Refused, Unreachable
from heat_runtime.heat_task import HeatTask, written
from heat_runtime.registry import Registry, fresh

if TYPE_CHECKING:
    from heat_runtime.runtime import HeatRuntime

BEAT_S = 10.0
LEASE_S = 60
EARLY_S = 20.0
LONGEST_PAUSE_S = 30.0
SUCCEEDED = "Processing succeeded; node is ready for more work."
log = logging.getLogger("heat_runtime")
T = TypeVar("T")


class Superseded(Exception):
    """Somebody else has the task now."""


class Beating:
    """`grace`: seconds that a task may take once the runner is to stop."""

    def __init__(
        self, api: CoreApi, registry: Registry, runtime: HeatRuntime, *, tag: str, poll_s: float, grace: float
    ) -> None:
        self._api = api
        self._registry = registry
        self._runtime = runtime
        self._tag = tag
        self._poll_s = poll_s
        self._grace = grace
        self._wake = threading.Event()
        self._deadline: float | None = None

    def stop(self, *_: Any) -> None:
        """Claim nothing more, and end within the grace."""
        if self._deadline is None:
            self._deadline = time.monotonic() + self._grace
        self._wake.set()

    def run(self) -> None:
        """Until it is told to stop. Exits with 1 when the server refuses this runner."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.stop)
        while self._deadline is None:
            if not self.turn():
                self._wake.wait(self._poll_s)

    def turn(self) -> bool:
        """Do one task, if there is one."""
        raw = self._tried(lambda: self._api.claim(self._tag, list(self._registry)))
        if raw is None:
            return False
        self.work(HeatTask(raw))
        return True

    def work(self, task: HeatTask) -> None:
        """One task, from its inputs to its end."""
        told: list[Any] = []
        failed: list[BaseException] = []
        done = threading.Event()

        def work() -> None:
            try:
                told.append(self._processed(task, lambda: self._signal(task)))
            except BaseException as error:  # noqa: BLE001  whatever user code raises fails its task
                failed.append(error)
            done.set()
            self._wake.set()

        threading.Thread(target=work, name=f"task {task.id}", daemon=True).start()
        if not self._kept(task, done) or (failed and isinstance(failed[0], Superseded)):
            log.warning("task %d is not ours any more; what it gave is dropped", task.id)
            return
        self._ended(task, told, failed)

    def _processed(self, task: HeatTask, between: Callable[[], None]) -> Any:
        if task.template not in self._registry:
            raise LookupError(f"No processor for template: {task.template}")
        processor = fresh(self._registry.of(task.template))
        processor.task, processor.runtime = task, self._runtime
        self._runtime.task = task
        return attempt(processor, task.inputs, task.config, between)

    def _signal(self, task: HeatTask) -> None:
        if self._tried(lambda: self._api.signal(task.id, LEASE_S)) is False:
            raise Superseded

    def _kept(self, task: HeatTask, done: threading.Event) -> bool:
        """Keep the lease until the work is done: whether it was kept. Once the grace is over it is given back."""
        ours, beat = True, time.monotonic() + EARLY_S
        while not done.is_set():
            now = time.monotonic()
            if self._deadline is not None and now >= self._deadline:
                self._tried(lambda: self._api.signal(task.id, 0))
                return False
            if now >= beat:
                ours = ours and self._tried(lambda: self._api.signal(task.id, LEASE_S)) is not False
                beat = now + BEAT_S
            until = beat if self._deadline is None else min(beat, self._deadline)
            self._wake.wait(max(0.0, until - time.monotonic()))
            self._wake.clear()
        return ours

    def _ended(self, task: HeatTask, told: list[Any], failed: list[BaseException]) -> None:
        text = None
        if not failed and told[0] is not None:
            try:
                text = written(told[0])
            except Exception as error:  # noqa: BLE001  what user code returned is its own failure
                failed.append(error)
        if failed:
            log.error("task %d failed: %s", task.id, failed[0])
            self._tried(lambda: self._api.status(task.node, 2, str(failed[0])))
            self._tried(lambda: self._api.fail(task.id))
            return
        if text is not None:
            self._tried(lambda: self._api.output(task.node, text, self._runtime.store_id, "output"))
        self._tried(lambda: self._api.status(task.node, 3, SUCCEEDED))
        self._tried(lambda: self._api.complete(task.id))

    def _tried(self, call: Callable[[], T]) -> T | None:
        """Call until there is an answer, or the runner stops; a refusal of the runner itself ends the process."""
        pause = 1.0
        while True:
            try:
                return call()
            except Unreachable as error:
                log.warning("%s; again in %g s", error, pause)
            except Refused as refused:
                if refused.status in (401, 403):
                    log.error("%s", refused)  # noqa: TRY400  the answer says it all
                    sys.exit(1)
                log.warning("%s", refused)
                return None
            if self._deadline is not None and time.monotonic() + pause >= self._deadline:
                return None
            threading.Event().wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)
