"""A run, as the one who triggered it sees it."""

from __future__ import annotations

import time
from collections.abc import Coroutine, Iterator
from typing import Any, Protocol, TypeVar

from stoker.core.views import (
    Cause,
    Explanation,
    FireAnswer,
    LogView,
    OutputView,
    PublishRequest,
    RetryAnswer,
    RunStateName,
    RunView,
)
from stoker.errors import Conflict, NoResult, RunCancelled, RunFailed
from stoker.runner.api import Api

T = TypeVar("T")

POLL_S = 30.0  # one long-poll
STILL_RUNNING = "no_result_yet"  # the code of the conflict that a result which is still to come is
CAUSES_SHOWN = 3


class Client(Protocol):
    """What a handle needs of the client that made it."""

    @property
    def api(self) -> Api: ...
    def call(self, coroutine: Coroutine[Any, Any, T]) -> T: ...
    def value(self, document: bytes) -> Any: ...
    def publish(
        self, run: int, node: str, value: Any, name: str, status: str
    ) -> Coroutine[Any, Any, OutputView | None]: ...


class RunHandle:
    """`id` names the run for ever; everything else is asked of the server."""

    def __init__(self, client: Client, run: int, *, created: bool = True) -> None:
        self._client = client
        self.id = run
        self.created = created

    def __repr__(self) -> str:
        return f"<run {self.id}>"

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the end and return the result.

        Raises RunFailed with the first causes, RunCancelled, NoResult when what the result is made of was pruned or
        skipped, and TimeoutError after `timeout` seconds.
        """
        for wait_s in _polls(timeout):
            try:
                return self._client.value(self._client.call(self._client.api.result(self.id, wait_s)))
            except Conflict as error:
                if error.code == NoResult.code:
                    raise NoResult(error.message, place=f"run {self.id}", remedy=error.remedy) from None
                if error.code != STILL_RUNNING:
                    raise_for(self.view())
                    raise
        raise TimeoutError(f"run {self.id} is still RUNNING after {timeout:g} seconds")

    def wait(self, timeout: float | None = None) -> RunView:
        """Wait for the end, however it is. TimeoutError after `timeout` seconds."""
        for wait_s in _polls(timeout):
            view = self._client.call(self._client.api.run(self.id, wait_s))
            if view.state != "RUNNING":
                return view
        raise TimeoutError(f"run {self.id} is still RUNNING after {timeout:g} seconds")

    def view(self) -> RunView:
        return self._client.call(self._client.api.run(self.id))

    def state(self) -> RunStateName:
        return self.view().state

    def cancel(self) -> RunView:
        """Ask for the end of the run; its tasks are told."""
        return self._client.call(self._client.api.cancel(self.id))

    def retry(self, *, rerun_below: bool = False) -> RetryAnswer:
        """Make its failed and cancelled tasks READY again; what succeeded is kept. Conflict if there are none.

        `rerun_below`: joins that fired without them are run again, and all below those.
        """
        return self._client.call(self._client.api.retry(self.id, rerun_below=rerun_below))

    def publish(self, node: str, value: Any, *, name: str = "", status: str = "") -> OutputView:
        """In a live run: make a value the current output of a node or input; what comes after it fires."""
        output = self._client.call(self._client.publish(self.id, node, value, name, status))
        assert output is not None
        return output

    def settle(self, node: str, *, failed: bool = False, status: str = "") -> None:
        """In a live run: say that a node settled outside, well or not, without an output."""
        request = PublishRequest(failed=failed, status=status)
        self._client.call(self._client.api.publish(self.id, node, request))

    def fire(self, node: str) -> FireAnswer:
        """In a live run: have a node run again with what is current. Conflict if nothing it reads is there."""
        return self._client.call(self._client.api.fire(self.id, node))

    def outputs(self, node: str | None = None) -> list[OutputView]:
        """The outputs of a live run, by node, the newest first."""
        found: list[OutputView] = []
        after: str | None = None
        while True:
            page = self._client.call(self._client.api.outputs(self.id, node=node, after=after, limit=1000))
            found += page.items
            if (after := page.after) is None:
                return found

    def current(self, node: str) -> Any:
        """The value of a node's current output. NoResult if it has none."""
        page = self._client.call(self._client.api.outputs(self.id, node=node, current=True))
        if not page.items:
            raise NoResult(
                f"{node!r} of run {self.id} has no output yet.", place=f"run {self.id}", remedy="See run.explain()."
            )
        return self._client.value(self._client.call(self._client.api.output_value(page.items[0].id)))

    def logs(
        self,
        *,
        node: str | None = None,
        task: int | None = None,
        stream: str | None = None,
        since: str | None = None,
    ) -> list[LogView]:
        """What its tasks have printed and logged so far, in the order in which it came.

        Only of a node or a task, of a `stream` ("stdout", "stderr", "log"), or `since` "10m" ago or a time.
        """
        return list(self._logs(0.0, node=node, task=task, stream=stream, since=since))

    def follow(
        self,
        *,
        node: str | None = None,
        task: int | None = None,
        stream: str | None = None,
        since: str | None = None,
    ) -> Iterator[LogView]:
        """The same as it comes, until the run (or the task) ends."""
        return self._logs(POLL_S, node=node, task=task, stream=stream, since=since)

    def _logs(self, wait_s: float, **wanted: Any) -> Iterator[LogView]:
        after = 0
        while True:
            page = self._client.call(self._client.api.run_logs(self.id, after=after, wait_s=wait_s, **wanted))
            yield from page.items
            if page.ended or not (wait_s or page.items):
                return
            after = page.after

    def explain(self) -> Explanation:
        """Why it stands where it stands."""
        return self._client.call(self._client.api.explain_run(self.id))


def _polls(timeout: float | None) -> Iterator[float]:
    """How long each long-poll may take, until the time is up."""
    ends = None if timeout is None else time.monotonic() + timeout
    yield POLL_S if timeout is None else min(POLL_S, max(0.0, timeout))
    while ends is None or time.monotonic() < ends:
        yield POLL_S if ends is None else min(POLL_S, ends - time.monotonic())


def raise_for(view: RunView) -> None:
    """Raise what a run ended with, if that is no result."""
    if view.state == "FAILED":
        raise RunFailed(_story(view), place=f"run {view.id}", remedy=f"See `stoker explain run:{view.id}`.") from None
    if view.state == "CANCELLED":
        raise RunCancelled(f"the run of {view.graph!r} was cancelled", place=f"run {view.id}") from None


def _story(view: RunView) -> str:
    """Tell the first causes of a failure, with their remote tracebacks."""
    shown = [_cause(cause) for cause in view.causes[:CAUSES_SHOWN]]
    more = len(view.causes) - len(shown)
    rest = [f"and {more} more failed tasks"] if more > 0 else []
    return "\n\n".join([f"the run of {view.graph!r} failed", *shown, *rest])


def _cause(cause: Cause) -> str:
    where = f"{cause.node}" + (f" at {cause.branch}" if cause.branch else "")
    what = f"{cause.type}: {cause.message}" if cause.type else cause.message
    head = f"{where} (task {cause.task}, attempt {cause.attempt}) failed with {cause.code}: {what}"
    return f"{head}\n{cause.traceback.rstrip()}" if cause.traceback else head
