"""Stand-ins for the two sides of a runner: nodes by hand, and a server that does as a test's script says."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import inspect
import os
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from stoker.core.graph import KindSpec
from stoker.core.protocol import (
    Assignment,
    ClaimAnswer,
    ClaimRequest,
    Complete,
    Fail,
    Log,
    Progress,
    Receipt,
    Report,
    ReportAnswer,
    ReportRequest,
    Stop,
)
from stoker.core.views import ArtifactView
from stoker.errors import NotFound, Unavailable

PATIENCE_S = 20.0


class FakeNode:
    """A node by hand: no schemas, the arguments are the inputs; a function that takes `task` gets its context."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        isolation: bool = False,
        stop_grace_s: float = 10.0,
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.kind = KindSpec(name=name or function.__name__)
        self.isolation = isolation
        self.stop_grace_s = stop_grace_s
        self.is_async = inspect.iscoroutinefunction(function)
        self._takes_task = "task" in inspect.signature(function).parameters

    def arguments(self, inputs: dict[str, Any], *, task: Any) -> dict[str, Any]:
        return {**inputs, "task": task} if self._takes_task else inputs

    def call(self, arguments: dict[str, Any]) -> Any:
        return self.function(**arguments)

    def dump(self, result: Any) -> list[bytes]:
        return [msgspec.json.encode(result)]


class FakeServer:
    """A transport with a server of one namespace behind it: a queue of tasks, leases, and what was reported."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._ready: list[Assignment] = []
        self._leased: dict[tuple[int, int], Assignment] = {}
        self._stops: list[Stop] = []
        self._told_at = 0
        self._number = 0
        self._next = 0
        self.loop: asyncio.AbstractEventLoop | None = None
        self._news: asyncio.Event | None = None
        self.kinds: list[KindSpec] = []
        self.reports: list[Report] = []
        self.requests: list[ReportRequest] = []
        self.claims: list[ClaimRequest] = []
        self.beats: list[float] = []
        self.left: list[str] = []
        self.inputs: dict[str, bytes] = {}
        self.artifacts: dict[int, bytes] = {}
        self.stale: set[tuple[int, int]] = set()
        self.before_report: Callable[[ReportRequest], None] = lambda request: None
        self.before_claim: Callable[[ClaimRequest], None] = lambda request: None
        self.after_report: Callable[[ReportAnswer], ReportAnswer] = lambda answer: answer
        self.waiting = 0

    # the test's side

    def offer(
        self,
        kind: str,
        _task: int | None = None,
        *,
        timeout_s: float | None = None,
        url: str = "",
        secrets: dict[str, str] | None = None,
        **inputs: Any,
    ) -> int:
        with self._lock:
            self._next = _task or self._next + 1
            self._ready.append(
                Assignment(
                    task=self._next,
                    attempt=1,
                    run=1,
                    node=kind,
                    kind=kind,
                    input=msgspec.Raw(msgspec.json.encode(inputs)) if not url else msgspec.Raw(b""),
                    input_url=url,
                    timeout_s=timeout_s,
                    secrets=secrets or {},
                )
            )
        self._tell()
        return self._next

    def stop(self, task: int, attempt: int = 1, grace_s: float = 30.0, reason: Any = "cancelled") -> None:
        with self._lock:
            self._stops.append(Stop(task=task, attempt=attempt, grace_s=grace_s, reason=reason))
        self._tell()

    def outcome(self, task: int) -> Any:
        """Wait for the outcome of a task."""
        return self.until(
            lambda: next((r for r in self.reports if r.task == task and not isinstance(r, Log | Progress)), None)
        )

    def until(self, fact: Callable[[], Any], *, elsewhere: bool = False) -> Any:
        """Wait until something is true, looking again when something happened here (`elsewhere`: every so often)."""
        ends = time.monotonic() + PATIENCE_S
        with self._lock:
            while not (found := fact()):
                left = ends - time.monotonic()
                assert left > 0, "it did not become true in time"
                self._lock.wait(min(left, 0.01) if elsewhere else left)
            return found

    def told(self) -> bool:
        """Whether the runner has taken in every stop: it has asked again since the answer that had the last one."""
        return not self._stops and len(self.claims) + len(self.requests) > self._told_at

    def text(self, task: int, stream: str | None = None) -> str:
        logs = {r.seq: r for r in self.reports if isinstance(r, Log) and r.task == task}
        return "".join(logs[seq].text for seq in sorted(logs) if stream in {None, logs[seq].stream})

    def idle(self) -> bool:
        return not self._ready and not self._leased

    # the runner's side

    async def claim(self, namespace: str, request: ClaimRequest) -> ClaimAnswer:
        self.loop = asyncio.get_running_loop()
        self._news = self._news or asyncio.Event()
        self._note(self.claims, request)
        self.before_claim(request)
        ends = time.monotonic() + request.wait_s
        self.waiting += 1
        try:
            while True:
                tasks, stops, number = self._take(request.want)
                if tasks or stops or time.monotonic() >= ends:
                    return ClaimAnswer(number=number, tasks=tasks, stop=stops)
                self._news.clear()
                try:
                    await asyncio.wait_for(self._news.wait(), ends - time.monotonic())
                except TimeoutError:
                    continue
        finally:
            self.waiting -= 1

    async def report(self, namespace: str, request: ReportRequest) -> ReportAnswer:
        self._note(self.requests, request)
        self.before_report(request)
        receipts = [self._settle(report) for report in request.reports]
        tasks, stops, number = self._take(request.want)
        with self._lock:
            if not request.reports:
                self.beats.append(time.monotonic())
            self._lock.notify_all()
        return self.after_report(ReportAnswer(receipts=receipts, number=number, tasks=tasks, stop=stops))

    async def input(self, url: str, session: str) -> bytes:
        if url not in self.inputs:
            raise NotFound(f"no input at {url}")
        return self.inputs[url]

    async def leave(self, namespace: str, session: str) -> None:
        self._note(self.left, session)

    async def upload(self, namespace: str, name: str, media_type: str, content: bytes | Path) -> ArtifactView:
        data = content if isinstance(content, bytes) else content.read_bytes()
        number = len(self.artifacts) + 100
        self.artifacts[number] = data
        return ArtifactView(
            id=number, name=name, media_type=media_type, size=len(data),
            sha256=hashlib.sha256(data).hexdigest(), created_at=datetime.fromtimestamp(0, UTC),
        )  # fmt: skip

    async def download(self, namespace: str, artifact: int, folder: Path) -> Path:
        if artifact not in self.artifacts:
            raise NotFound(f"no artifact {artifact}")
        folder.mkdir(exist_ok=True)
        path = folder / f"{artifact}.bin"
        path.write_bytes(self.artifacts[artifact])
        return path

    async def put_kinds(self, namespace: str, kinds: Sequence[KindSpec]) -> None:
        self.kinds = list(kinds)

    async def close(self) -> None:
        pass

    # steps

    def _note(self, where: list[Any], what: Any) -> None:
        with self._lock:
            where.append(what)
            self._lock.notify_all()

    def _take(self, want: int) -> tuple[list[Assignment], list[Stop], int]:
        with self._lock:
            tasks, self._ready = self._ready[:want], self._ready[want:]
            for task in tasks:
                self._leased[task.task, task.attempt] = task
            stops, self._stops = self._stops, []
            if stops:
                self._told_at = len(self.claims) + len(self.requests)
            if tasks:
                self._number += 1
            return tasks, stops, self._number if tasks else 0

    def _settle(self, report: Report) -> Receipt:
        with self._lock:
            key = (report.task, report.attempt)
            if key in self.stale:
                self._lock.notify_all()
                return Receipt(status="stale")
            self.reports.append(report)
            if not isinstance(report, Log | Progress):
                self._leased.pop(key, None)
            self._lock.notify_all()
            return Receipt(status="accepted")

    def _tell(self) -> None:
        with self._lock:
            self._lock.notify_all()
        if self.loop is not None and self._news is not None:
            try:
                self.loop.call_soon_threadsafe(self._news.set)
            except RuntimeError:  # the runner has ended
                return


def completed(report: Any) -> Any:
    """The single result of a complete."""
    assert isinstance(report, Complete), report
    return msgspec.json.decode(report.items[0].value)


def failed(report: Any) -> Fail:
    assert isinstance(report, Fail), report
    return report


def is_gone(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().split()[2] == "Z"
    except FileNotFoundError:
        return True


def wait_until_gone(pid: int) -> None:
    ends = time.monotonic() + PATIENCE_S
    while not is_gone(pid):
        assert time.monotonic() < ends, f"process {pid} is still there"
        os.sched_yield()


def unavailable(*_: Any) -> None:
    raise Unavailable("the script says no")
