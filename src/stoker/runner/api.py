"""Every endpoint of the native API as a coroutine: what the client and the command line call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec

from stoker.core.audit_views import AuditView
from stoker.core.fork_views import ForkAnswer, ForkRequest
from stoker.core.graph import KindSpec
from stoker.core.manifest_views import DiffAnswer, VerifyAnswer
from stoker.core.views import (
    ArtifactView,
    AttemptView,
    BulkAnswer,
    BulkRequest,
    Explanation,
    FireAnswer,
    GraphView,
    Hint,
    LogPage,
    OutputView,
    Page,
    PublishRequest,
    PushRequest,
    RetryAnswer,
    RoleRequest,
    RoleView,
    RunnerView,
    RunRef,
    RunView,
    SettleRequest,
    TaskView,
    TokenRequest,
    TokenView,
    TriggerBatch,
    TriggerRequest,
)
from stoker.runner import http, tracing
from stoker.runner.archives import ArchiveApi
from stoker.runner.keeping_api import KeepingApi
from stoker.runner.schedule_api import ScheduleApi
from stoker.runner.secret_api import SecretApi
from stoker.runner.settings import namespace_of, token_of, url_of
from stoker.runner.upkeep_api import UpkeepApi
from stoker.runner.wire import Wire

T = TypeVar("T")

READING_S = 3600.0  # what the server may take to read all of a run


class Api:
    """One server, one namespace. Raises `stoker.errors`; lists come in pages (`after` of one goes into the next)."""

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        namespace: str | None = None,
        *,
        wire: Wire | None = None,
    ) -> None:
        self.namespace = namespace_of(namespace)
        self.wire = wire or Wire(url_of(url), token_of(token))
        self._in = f"/v1/namespaces/{quote(self.namespace, safe='')}"
        self.schedules = ScheduleApi(self.wire, self._in)
        self.secrets = SecretApi(self.wire, self._in)
        self.keeping = KeepingApi(self.wire, self._in)
        self.upkeep = UpkeepApi(self.wire)
        self.archives = ArchiveApi(self.wire, self._in)

    async def close(self) -> None:
        await self.wire.close()

    # graphs, kinds, runners

    async def push(self, request: PushRequest) -> GraphView:
        return await self.wire.call("POST", f"{self._in}/graphs", body=request, answer=GraphView)

    async def graphs(self, limit: int = 100, after: str | None = None) -> Page[GraphView]:
        return await self._get("/graphs", Page[GraphView], limit=limit, after=after)

    async def graph(self, name: str, version: int | None = None) -> GraphView:
        return await self._get(f"/graphs/{quote(name, safe='')}", GraphView, version=version)

    async def kinds(self) -> list[KindSpec]:
        return await self._get("/kinds", list[KindSpec])

    async def runners(self) -> list[RunnerView]:
        return await self._get("/runners", list[RunnerView])

    # runs

    async def trigger(self, request: TriggerRequest) -> RunRef:
        return await self.wire.call("POST", f"{self._in}/runs", body=request, answer=RunRef, headers=tracing.headers())

    async def trigger_batch(self, requests: Sequence[TriggerRequest]) -> list[RunRef]:
        body = TriggerBatch(runs=list(requests))
        return await self.wire.call(
            "POST", f"{self._in}/runs/batch", body=body, answer=list[RunRef], headers=tracing.headers()
        )

    async def runs(
        self,
        filter: str = "",  # noqa: A002  the word of the API
        *,
        state: str | None = None,
        graph: str | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> Page[RunView]:
        """Runs that a filter asks for, such as `state=FAILED tag.team=blue created>2d`; newest first."""
        query = {"filter": filter or None, "state": state, "graph": graph, "limit": limit, "after": after}
        return await self._get("/runs", Page[RunView], **query)

    async def run(self, run: int, wait_s: float = 0.0) -> RunView:
        """Show a run; with `wait_s`, once it has ended or so many seconds have passed."""
        query = {"wait_s": wait_s or None}
        return await self.wire.call("GET", f"{self._in}/runs/{run}", answer=RunView, query=query, wait_s=wait_s)

    async def result(self, run: int, wait_s: float = 0.0) -> bytes:
        """Return the JSON of a run's result, once it has ended. Conflict if it has not within `wait_s`, or failed."""
        query = {"wait_s": wait_s or None}
        return await self.wire.call("GET", f"{self._in}/runs/{run}/result", answer=bytes, query=query, wait_s=wait_s)

    async def cancel(self, run: int) -> RunView:
        return await self.wire.call("POST", f"{self._in}/runs/{run}/cancel", answer=RunView)

    async def retry(self, run: int, *, rerun_below: bool = False) -> RetryAnswer:
        query = {"rerun_below": rerun_below or None}
        return await self.wire.call("POST", f"{self._in}/runs/{run}/retry", answer=RetryAnswer, query=query)

    async def fork(self, run: int, request: ForkRequest) -> ForkAnswer:
        """Start a run in the middle of one that has ended, or (`dry_run`) only say what would run again."""
        return await self.wire.call("POST", f"{self._in}/runs/{run}/fork", body=request, answer=ForkAnswer)

    async def manifest(self, run: int) -> bytes:
        """The manifest of a run that has ended: lines of JSON, each with the hash of the one before it."""
        async with self.wire.open("GET", f"{self._in}/runs/{run}/manifest", wait_s=None) as response:
            return await response.read()

    async def verify(self, run: int) -> VerifyAnswer:
        """Have all of a run computed anew from its rows and files."""
        path = f"{self._in}/runs/{run}/verify"
        return await self.wire.call("GET", path, answer=VerifyAnswer, wait_s=READING_S)

    async def diff(self, run: int, other: int) -> DiffAnswer:
        """Where two runs part, and why."""
        path, query = f"{self._in}/runs/{run}/diff", {"other": other}
        return await self.wire.call("GET", path, answer=DiffAnswer, query=query, wait_s=READING_S)

    async def cancel_runs(self, request: BulkRequest) -> BulkAnswer:
        """Cancel a page of the runs that a filter asks for."""
        return await self.wire.call("POST", f"{self._in}/runs/cancel", body=request, answer=BulkAnswer)

    async def retry_runs(self, request: BulkRequest) -> BulkAnswer:
        """Retry a page of the runs that a filter asks for."""
        return await self.wire.call("POST", f"{self._in}/runs/retry", body=request, answer=BulkAnswer)

    async def explain_run(self, run: int) -> Explanation:
        return await self._get(f"/runs/{run}/explain", Explanation)

    async def run_logs(
        self,
        run: int,
        *,
        node: str | None = None,
        task: int | None = None,
        stream: str | None = None,
        since: str | None = None,
        after: int = 0,
        limit: int = 1000,
        wait_s: float = 0.0,
    ) -> LogPage:
        """What the tasks of a run printed and logged; `wait_s`: how long to wait for something new, or the end."""
        query = {"node": node, "task": task, "stream": stream, "since": since, "after": after, "limit": limit}
        return await self._logs(f"/runs/{run}/logs", query, wait_s)

    # live runs

    async def publish(self, run: int, node: str, request: PublishRequest) -> OutputView | None:
        """Publish an output of a node, or a state without one (then None comes back)."""
        path = f"{self._in}/runs/{run}/nodes/{quote(node, safe='')}/publish"
        answer = await self.wire.call("POST", path, body=request, answer=bytes)
        return msgspec.json.decode(answer, type=OutputView) if answer else None

    async def fire(self, run: int, node: str) -> FireAnswer:
        path = f"{self._in}/runs/{run}/nodes/{quote(node, safe='')}/fire"
        return await self.wire.call("POST", path, answer=FireAnswer)

    async def outputs(
        self, run: int, *, node: str | None = None, current: bool = False, limit: int = 100, after: str | None = None
    ) -> Page[OutputView]:
        """By node, the newest first; `current`: only the one of each node that others read."""
        query = {"node": node, "current": "true" if current else None, "limit": limit, "after": after}
        return await self._get(f"/runs/{run}/outputs", Page[OutputView], **query)

    async def output(self, output: int) -> OutputView:
        return await self._get(f"/outputs/{output}", OutputView)

    async def output_value(self, output: int) -> bytes:
        """Return the JSON of an output."""
        return await self._get(f"/outputs/{output}/value", bytes)

    # tasks

    async def tasks(
        self,
        run: int,
        filter: str = "",  # noqa: A002  as above
        *,
        state: str | None = None,
        node: str | None = None,
        past: bool = False,
        limit: int = 100,
        after: str | None = None,
    ) -> Page[TaskView]:
        """Tasks of a run that a filter asks for, such as `state=FAILED attempt>1`; by node and branch.

        `past`: those that a re-run has replaced, which have no filter.
        """
        terms: dict[str, Any] = {"filter": filter or None, "state": state, "node": node, "past": past or None}
        query = terms | {"limit": limit, "after": after}
        return await self._get(f"/runs/{run}/tasks", Page[TaskView], **query)

    async def task(self, task: int) -> TaskView:
        return await self._get(f"/tasks/{task}", TaskView)

    async def retry_task(self, task: int, *, rerun_below: bool = False) -> RetryAnswer:
        query = {"rerun_below": rerun_below or None}
        return await self.wire.call("POST", f"{self._in}/tasks/{task}/retry", answer=RetryAnswer, query=query)

    async def cancel_task(self, task: int) -> TaskView:
        return await self.wire.call("POST", f"{self._in}/tasks/{task}/cancel", answer=TaskView)

    async def explain_task(self, task: int) -> Explanation:
        return await self._get(f"/tasks/{task}/explain", Explanation)

    async def attempts(self, task: int) -> list[AttemptView]:
        return await self._get(f"/tasks/{task}/attempts", list[AttemptView])

    async def task_logs(
        self,
        task: int,
        *,
        stream: str | None = None,
        since: str | None = None,
        after: int = 0,
        limit: int = 1000,
        wait_s: float = 0.0,
    ) -> LogPage:
        query = {"stream": stream, "since": since, "after": after, "limit": limit}
        return await self._logs(f"/tasks/{task}/logs", query, wait_s)

    async def _logs(self, path: str, query: dict[str, Any], wait_s: float) -> LogPage:
        query = {**query, "wait_s": wait_s or None}
        return await self.wire.call("GET", self._in + path, answer=LogPage, query=query, wait_s=wait_s)

    # waits

    async def waits(self, *, run: int | None = None, limit: int = 100, after: str | None = None) -> Page[TaskView]:
        return await self._get("/waits", Page[TaskView], run=run, limit=limit, after=after)

    async def settle(self, task: int, request: SettleRequest) -> TaskView:
        return await self.wire.call("POST", f"{self._in}/tasks/{task}/settle", body=request, answer=TaskView)

    async def task_input(self, task: int, attempt: int | None = None) -> bytes:
        """The JSON object that an attempt of a task was given, or a wait shows. None: the newest attempt."""
        return await self._get(f"/tasks/{task}/input", bytes, attempt=attempt)

    async def task_items(self, task: int) -> bytes:
        """What a task settled with: a JSON list of its items."""
        return await self._get(f"/tasks/{task}/items", bytes)

    # artifacts

    async def artifact(self, artifact: int) -> ArtifactView:
        return await self._get(f"/artifacts/{artifact}", ArtifactView)

    async def upload(self, content: bytes | Path, name: str, media_type: str) -> ArtifactView:
        return await http.upload(self.wire, self.namespace, name, media_type, content)

    async def download(self, artifact: int, folder: Path) -> Path:
        """Write an artifact into a folder, under its own name, once size and digest are right; return where it is."""
        return await http.download(self.wire, self.namespace, artifact, folder)

    # events

    async def events(self, run: int | None = None) -> AsyncIterator[Hint]:
        """Yield hints that something changed, until the server ends the stream. They may be lost or repeated."""
        headers = {"Accept": "text/event-stream"}
        async with self.wire.open(
            "GET", f"{self._in}/events", query={"run": run}, headers=headers, wait_s=None
        ) as response:
            async for data in _data_of(response):
                yield msgspec.json.decode(data, type=Hint)

    # the server

    async def tokens(self) -> list[TokenView]:
        return await self.wire.call("GET", "/v1/tokens", answer=list[TokenView])

    async def create_token(self, request: TokenRequest) -> TokenView:
        return await self.wire.call("POST", "/v1/tokens", body=request, answer=TokenView)

    async def revoke_token(self, token: int) -> None:
        await self.wire.call("DELETE", f"/v1/tokens/{token}")

    async def roles(self) -> list[RoleView]:
        return await self.wire.call("GET", "/v1/roles", answer=list[RoleView])

    async def put_role(self, name: str, request: RoleRequest) -> RoleView:
        return await self.wire.call("PUT", f"/v1/roles/{quote(name, safe='')}", body=request, answer=RoleView)

    async def delete_role(self, name: str) -> None:
        await self.wire.call("DELETE", f"/v1/roles/{quote(name, safe='')}")

    async def audit(
        self,
        filter: str = "",  # noqa: A002  as above
        *,
        limit: int = 100,
        after: str | None = None,
    ) -> Page[AuditView]:
        """Who did what, such as `verb=cancel_run subject=run:12 at>2d`; newest first."""
        query = {"filter": filter or None, "limit": limit, "after": after}
        return await self.wire.call("GET", "/v1/audit", answer=Page[AuditView], query=query)

    async def healthy(self) -> None:
        """Return when the server's process answers; Unavailable otherwise."""
        await self.wire.call("GET", "/healthz")

    async def ready(self) -> None:
        """Return when the server can work (its store answers); Unavailable otherwise."""
        await self.wire.call("GET", "/readyz")

    async def _get(self, path: str, answer: type[T], **query: Any) -> T:
        return await self.wire.call("GET", self._in + path, answer=answer, query=query)


async def _data_of(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yield the data of each server-sent event."""
    lines: list[bytes] = []
    async for raw in response.content:
        line = raw.rstrip(b"\r\n")
        if line.startswith(b"data:"):
            lines.append(line[5:].removeprefix(b" "))
        elif not line and lines:
            yield b"\n".join(lines)
            lines = []
