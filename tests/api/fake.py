"""An engine in memory: enough behaviour to tell whether the HTTP surface passes everything on, and nothing else."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from stoker.core.fork_views import ForkAnswer, ForkRequest
from stoker.core.graph import KindSpec
from stoker.core.keep_views import KeepSpec, KeepView
from stoker.core.manifest_views import DiffAnswer, VerifyAnswer
from stoker.core.protocol import Assignment, ClaimAnswer, ClaimRequest, Receipt, ReportAnswer, ReportRequest
from stoker.core.schedule_views import FiringView, RunNowRequest, ScheduleSpec, ScheduleView
from stoker.core.secret_views import KeyView, RotateAnswer, SecretRequest, SecretView
from stoker.core.upkeep_views import CollectionView, NamespaceUsage, UsageView
from stoker.core.views import (
    ArtifactView,
    AttemptView,
    BulkAnswer,
    BulkRequest,
    Explanation,
    GraphView,
    Hint,
    LogPage,
    LogView,
    Page,
    PushRequest,
    RetryAnswer,
    RoleRequest,
    RoleView,
    RunnerView,
    RunRef,
    RunView,
    SettleRequest,
    Skipped,
    TaskView,
    TokenRequest,
    TokenView,
    TriggerRequest,
)
from stoker.engine.acting import Act
from stoker.engine.caller import Caller
from stoker.engine.refusals import Refusal
from stoker.errors import Conflict, NotFound, RunFailed, Unauthorized

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SESSION = "0123456789abcdef" * 2


class FakeTasks:
    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine

    async def __call__(self, *given: Any, **options: Any) -> Page[TaskView]:
        return await self._engine.list_tasks(*given, **options)  # what `views.tasks` is here

    async def cancel(self, namespace: str, task: int) -> TaskView:
        self._engine.asked.append(("cancel task", namespace, task))
        return await self._engine.task(namespace, task)


class FakeEngine:
    def __init__(self) -> None:
        self.catalog: Any = self
        self.runs: Any = self
        self.bulk: Any = self
        self.tasks: Any = FakeTasks(self)
        self.leases: Any = self
        self.views: Any = self
        self.logs: Any = FakeLogs(self)
        self.waits: Any = FakeWaits(self)
        self.recorded: Any = FakeRecorded(self)
        self.forks: Any = FakeForks(self)
        self.manifests: Any = FakeManifests(self)
        self.verifying = self.differing = self.manifests
        self.schedules: Any = FakeSchedules(self)
        self.secrets: Any = FakeSecrets(self)
        self.documents: Any = None
        self.opaque: Any = None
        self.retention: Any = FakeRetention(self)
        self.collecting: Any = FakeCollecting(self)
        self.usage: Any = FakeUsage()
        self.backups: Any = FakeBackups()
        self.exporting: Any = FakeArchives(self)
        self.importing: Any = self.exporting
        self.artifacts: Any = self
        self.tokens: Any = self
        self.roles: Any = FakeRoles(self)
        self.audit: Any = FakeAudit(self)
        self.events: Any = self
        self.asked: list[tuple[Any, ...]] = []
        self.traceparents: list[str | None] = []
        self.callers: dict[str, Caller] = {}
        self.kind_rows: dict[str, KindSpec] = {}
        self.graph_rows: dict[str, GraphView] = {}
        self.run_rows: dict[int, RunView] = {}
        self.keys: dict[str, int] = {}
        self.results: dict[int, bytes | Exception] = {}
        self.contents: dict[int, tuple[ArtifactView, bytes]] = {}
        self.token_rows: dict[int, TokenView] = {}
        self.offered: asyncio.Queue[Assignment] = asyncio.Queue()
        self.hints: asyncio.Queue[Hint | None] = asyncio.Queue()
        self.waiting = asyncio.Event()  # a held call has reached the engine
        self.hung_up = asyncio.Event()  # `closed` or a cancelled wait was heard
        self.ended = asyncio.Event()
        self.failure: Exception | None = None
        self.largest_chunk = 0
        self.lacks: list[str] = []

    def allow(self, token: str, *scopes: str, namespaces: tuple[str, ...] = ("*",), kinds: tuple[str, ...] = ()) -> str:
        self.callers[token] = Caller(
            token_id=len(self.callers) + 1,
            name=token,
            scopes=frozenset(scopes),
            namespaces=frozenset(namespaces),
            kinds=frozenset(kinds),
        )
        return token

    def note(self, *what: Any) -> None:
        self.asked.append(what)
        if self.failure is not None:
            raise self.failure

    async def ready(self) -> list[str]:
        self.note("ready")
        return self.lacks

    # tokens

    async def caller(self, token: str) -> Caller:
        if token not in self.callers:
            raise Unauthorized("this token is unknown, expired or revoked")
        return self.callers[token]

    async def create(self, request: TokenRequest) -> TokenView:
        self.note("create", request)
        view = TokenView(
            id=len(self.token_rows) + 1,
            name=request.name,
            scopes=list(request.scopes),
            namespaces=request.namespaces or ["*"],
            kinds=request.kinds,
            created_at=NOW,
        )
        self.token_rows[view.id] = view
        return msgspec.structs.replace(view, token="shown-once")

    async def list(self) -> Any:
        return [*self.token_rows.values()]

    async def revoke(self, token_id: int) -> None:
        if token_id not in self.token_rows:
            raise NotFound(f"there is no token {token_id}")
        del self.token_rows[token_id]

    # catalog

    async def put_kinds(self, namespace: str, kinds: Sequence[KindSpec]) -> None:
        self.note("put_kinds", namespace)
        self.kind_rows |= {kind.name: kind for kind in kinds}

    async def kinds(self, namespace: str) -> Any:
        self.note("kinds", namespace)
        return [*self.kind_rows.values()]

    async def push(self, namespace: str, request: PushRequest) -> GraphView:
        self.note("push", namespace)
        name = request.graph.name
        created = name not in self.graph_rows
        self.graph_rows[name] = GraphView(name=name, version=1, hash="h", created_at=NOW, spec=request.graph)
        return msgspec.structs.replace(self.graph_rows[name], created=created)

    async def graphs(self, namespace: str, limit: int, after: str | None) -> Page[GraphView]:
        self.note("graphs", namespace, limit, after)
        return Page(items=[*self.graph_rows.values()], after=None)

    async def graph(self, namespace: str, name: str, version: int | None) -> GraphView:
        self.note("graph", namespace, name, version)
        if name not in self.graph_rows:
            raise NotFound(f"there is no graph {name!r}")
        return self.graph_rows[name]

    # runs

    async def trigger(self, namespace: str, requests: Sequence[TriggerRequest], traceparent: str | None = None) -> Any:
        self.traceparents.append(traceparent)
        self.note("trigger", namespace, len(requests))
        return [self._trigger(namespace, request) for request in requests]

    def _trigger(self, namespace: str, request: TriggerRequest) -> RunRef:
        if request.idempotency_key in self.keys:
            return RunRef(id=self.keys[request.idempotency_key], created=False)
        run = len(self.run_rows) + 1
        self.run_rows[run] = RunView(
            id=run,
            namespace=namespace,
            graph=request.graph,
            version=1,
            state="RUNNING",
            stopping=False,
            priority=request.priority,
            weight=request.weight,
            created_at=NOW,
        )
        if request.idempotency_key:
            self.keys[request.idempotency_key] = run
        return RunRef(id=run)

    def settle(self, run: int, state: Any, result: bytes | Exception) -> None:
        self.run_rows[run] = msgspec.structs.replace(self.run_rows[run], state=state)
        self.results[run] = result
        self.ended.set()

    async def cancel(self, namespace: str, run: int) -> RunView:
        view = await self.run(namespace, run)
        self.run_rows[run] = msgspec.structs.replace(view, state="CANCELLED")
        return self.run_rows[run]

    async def retry(self, namespace: str, run: int, *, rerun_below: bool) -> RetryAnswer:
        await self.run(namespace, run)
        return RetryAnswer(retried=2, rerun=["total"]) if rerun_below else RetryAnswer(retried=2, fired=["total"])

    async def retry_task(self, namespace: str, task: int, *, rerun_below: bool) -> RetryAnswer:
        self.note("retry_task", task, rerun_below)
        return RetryAnswer(retried=1)

    async def wait(self, namespace: str, run: int, wait_s: float) -> RunView:
        self.waiting.set()
        self.note("wait", run, wait_s)
        try:
            await asyncio.wait_for(self.ended.wait(), wait_s)
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            self.hung_up.set()
            raise
        return await self.run(namespace, run)

    async def result(self, namespace: str, run: int, wait_s: float) -> bytes:
        await self.run(namespace, run)
        if wait_s:
            await self.wait(namespace, run, wait_s)
        found = self.results.get(run, Conflict(f"run {run} is RUNNING and has no result yet"))
        if isinstance(found, Exception):
            raise found
        return found

    async def bulk_runs(self, namespace: str, verb: str, request: BulkRequest) -> BulkAnswer:
        self.note("bulk", namespace, verb, request)
        return BulkAnswer(matched=2, done=[2], skipped=[Skipped(id=1, code="ended", message="it has ended")], after="c")

    # leases

    async def claim(self, namespace: str, request: ClaimRequest, kinds: frozenset[str]) -> ClaimAnswer:
        self.note("claim", namespace, request, kinds)
        self.waiting.set()
        try:
            task = await asyncio.wait_for(self.offered.get(), request.wait_s)
        except TimeoutError:
            return ClaimAnswer(session_id=7)
        return ClaimAnswer(number=1, session_id=7, tasks=[task])

    async def closed(self, session: str) -> None:
        self.asked.append(("closed", session))
        self.hung_up.set()

    async def undelivered(self, session: str, answer: ClaimAnswer | ReportAnswer) -> None:
        self.asked.append(("undelivered", session, answer))
        self.hung_up.set()

    async def report(self, namespace: str, request: ReportRequest) -> ReportAnswer:
        self.note("report", namespace, request)
        receipts = [Receipt(status="accepted" if each.attempt == 1 else "stale") for each in request.reports]
        tasks = [] if self.offered.empty() else [self.offered.get_nowait()]
        return ReportAnswer(receipts=receipts, tasks=tasks)

    async def leave(self, namespace: str, session: str) -> None:
        self.note("leave", session)

    async def input(self, namespace: str, session: str, task: int, attempt: int) -> AsyncIterator[bytes]:
        self.note("input", session, task, attempt)
        if attempt != 1:
            raise Conflict(f"attempt {attempt} of task {task} is no longer current")
        return _pieces(b'{"xs":[', b"1,2", b"]}")

    # views

    async def run(self, namespace: str, run: int) -> RunView:
        self.note("run", namespace, run)
        if run not in self.run_rows:
            raise NotFound(f"there is no run {run} in the namespace {namespace!r}", place="path.id")
        return self.run_rows[run]

    async def _runs(self, namespace: str, **asked: Any) -> Page[RunView]:
        self.note("runs", namespace, asked)
        return Page(items=[*self.run_rows.values()], after="next")

    async def list_tasks(self, namespace: str, run: int, **asked: Any) -> Page[TaskView]:
        self.note("tasks", namespace, run, asked)
        return Page(items=[_task()], after=None)

    async def task(self, namespace: str, task: int) -> TaskView:
        if task != 1:
            raise NotFound(f"there is no task {task}")
        return _task()

    async def attempts(self, namespace: str, task: int) -> Any:
        return [AttemptView(attempt=1, outcome="lost", code="lost", message="no beat")]

    async def explain_run(self, namespace: str, run: int) -> Explanation:
        return Explanation(subject=f"run {run}", state="RUNNING", because=["it waits for a runner"])

    async def explain_task(self, namespace: str, task: int) -> Explanation:
        return Explanation(subject=f"task {task}", state="READY", because=["no runner offers its kind"])

    async def runners(self, namespace: str) -> Any:
        self.note("runners", namespace)
        return [
            RunnerView(
                session=1, name="r", kinds=["k"], labels={}, capacity=1, leases=0, connected=True, started_at=NOW
            )
        ]

    # artifacts

    async def put(self, namespace: str, name: str, media_type: str, chunks: AsyncIterator[bytes]) -> ArtifactView:
        content = bytearray()
        self.waiting.set()
        try:
            async for chunk in chunks:
                self.largest_chunk = max(self.largest_chunk, len(chunk))
                content += chunk
        except Exception:
            self.hung_up.set()
            raise
        view = ArtifactView(
            id=len(self.contents) + 1,
            name=name,
            media_type=media_type,
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            created_at=NOW,
        )
        self.contents[view.id] = (view, bytes(content))
        return view

    async def get(self, namespace: str, artifact: int) -> ArtifactView:
        if artifact not in self.contents:
            raise NotFound(f"there is no artifact {artifact}")
        return self.contents[artifact][0]

    def read(self, view: ArtifactView, start: int, stop: int) -> AsyncIterator[bytes]:
        self.asked.append(("read", start, stop))
        return self._read(self.contents[view.id][1][start:stop])

    async def _read(self, content: bytes) -> AsyncIterator[bytes]:
        if self.failure is not None:
            raise self.failure
        for at in range(0, len(content), 65_536):
            yield content[at : at + 65_536]

    # events

    async def subscribe(self, namespace: str, run: int | None) -> AsyncIterator[Hint]:
        self.note("subscribe", namespace, run)
        return self._hints()

    async def _hints(self) -> AsyncIterator[Hint]:
        self.waiting.set()
        try:
            while (hint := await self.hints.get()) is not None:
                yield hint
        finally:
            self.hung_up.set()


class FakeRoles:
    """The roles, those that are built in left out."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine
        self._kept: dict[str, RoleView] = {}

    async def put(self, name: str, request: RoleRequest) -> RoleView:
        self._engine.note("put role", name, request)
        created = name not in self._kept
        self._kept[name] = RoleView(name=name, scopes=request.scopes)
        return msgspec.structs.replace(self._kept[name], created=created)

    async def list(self) -> list[RoleView]:
        return [*self._kept.values()]

    async def delete(self, name: str) -> None:
        if name not in self._kept:
            raise NotFound(f"there is no role {name!r}")
        del self._kept[name]


class FakeAudit:
    """The audit log: calls that nothing else has told of, and refusals."""

    triggers = False
    now = 0

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine
        self.rows: list[Act] = []
        self.outcomes: list[str] = []
        self.refusals: list[tuple[Refusal, str, str]] = []

    async def list(self, **asked: Any) -> Page[Any]:
        self._engine.note("audit", asked)
        return Page(items=[], after=None)

    async def tell(self, act: Act, outcome: str) -> None:
        self.rows.append(act)
        self.outcomes.append(outcome)

    def refused(self, refusal: Refusal, subject: str, request: str) -> None:
        self.refusals.append((refusal, subject, request))


class FakeBulk:
    """The verbs for many, whose `runs` is a verb too."""

    def __init__(self, engine: FakeEngine) -> None:
        self.runs = engine.bulk_runs


class FakeViews:
    """The views, whose `runs` is a verb where the engine's is a noun."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine
        self.runs = engine._runs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


class FakeLogs:
    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine

    async def page(self, namespace: str, **asked: Any) -> LogPage:
        self._engine.note("logs", namespace, asked)
        log = LogView(cursor=5, task=1, node="n", branch="", attempt=1, stream="log", at=NOW, text="hello")
        return LogPage(items=[log], after=5, ended=False)


class FakeWaits:
    """The waits."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine

    async def settle(self, namespace: str, task: int, request: SettleRequest) -> TaskView:
        self._engine.note("settle", namespace, task, request)
        return await self._engine.task(namespace, task)

    async def open(self, namespace: str, **asked: Any) -> Page[TaskView]:
        self._engine.note("waits", namespace, asked)
        return Page(items=[_task()], after=None)


class FakeForks:
    """Forks of runs."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine

    async def fork(self, namespace: str, run: int, request: ForkRequest) -> ForkAnswer:
        self._engine.note("fork", namespace, run, request)
        return ForkAnswer(origin=run, node=request.from_, taken=1, run=None if request.dry_run else 7)


class FakeManifests:
    """Manifests of runs, and what they are compared with."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine

    async def lines(self, namespace: str, run: int) -> AsyncIterator[bytes]:
        self._engine.note("manifest", namespace, run)
        return _pieces(b'{"run":4}\n', b'{"tasks":0}\n')

    async def verify(self, namespace: str, run: int) -> VerifyAnswer:
        self._engine.note("verify", namespace, run)
        return VerifyAnswer(fits=True, tasks=1, items=1, files=0)

    async def diff(self, namespace: str, left: int, right: int) -> DiffAnswer:
        self._engine.note("diff", namespace, left, right)
        return DiffAnswer(left=left, right=right, same=True, graphs=True)


class FakeRecorded:
    """What was recorded of tasks."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine

    async def input(self, namespace: str, task: int, attempt: int | None = None) -> AsyncIterator[bytes]:
        self._engine.note("recorded input", namespace, task, attempt)
        return _pieces(b'{"draft":', b'"x"}')

    async def items(self, namespace: str, task: int) -> AsyncIterator[bytes]:
        self._engine.note("recorded items", namespace, task)
        return _pieces(b"[1,", b"2]")


class FakeSchedules:
    """The schedules: one is what was put."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine
        self._kept: dict[str, ScheduleView] = {}
        self._keys: set[str | None] = {None}

    async def put(self, namespace: str, name: str, spec: ScheduleSpec) -> ScheduleView:
        self._engine.note("put schedule", namespace, name, spec)
        created = name not in self._kept
        self._kept[name] = ScheduleView(name=name, spec=spec, paused=False, created_at=NOW, next=[NOW])
        return msgspec.structs.replace(self._kept[name], created=created)

    async def list(self, namespace: str, **asked: Any) -> Page[ScheduleView]:
        self._engine.note("schedules", namespace, asked)
        return Page(items=[*self._kept.values()], after=None)

    async def get(self, namespace: str, name: str, times: int) -> ScheduleView:
        self._engine.note("get schedule", namespace, name, times)
        return self._kept[name]

    async def pause(self, namespace: str, name: str, *, paused: bool) -> ScheduleView:
        self._engine.note("pause schedule", namespace, name, paused)
        return msgspec.structs.replace(self._kept[name], paused=paused)

    async def run(self, namespace: str, name: str, request: RunNowRequest) -> RunRef:
        self._engine.note("run schedule", namespace, name, request)
        created = request.idempotency_key not in self._keys or request.idempotency_key is None
        self._keys.add(request.idempotency_key)
        return RunRef(id=7, created=created)

    async def delete(self, namespace: str, name: str) -> None:
        self._engine.note("delete schedule", namespace, name)
        del self._kept[name]

    async def firings(self, namespace: str, name: str, **asked: Any) -> Page[FiringView]:
        self._engine.note("firings", namespace, name, asked)
        return Page(items=[FiringView(at=NOW, outcome="skipped", done_at=NOW, reason="run 1 still runs")], after=None)

    async def explain(self, namespace: str, name: str) -> Explanation:
        return Explanation(subject=f"schedule {name!r}", state="ACTIVE", because=["it is due next at noon"])


class FakeSecrets:
    """The secrets: names alone."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine
        self._kept: dict[str, SecretView] = {}

    async def put(self, namespace: str, name: str, request: SecretRequest) -> SecretView:
        self._engine.note("put secret", namespace, name, request.value)
        created = name not in self._kept
        self._kept[name] = SecretView(name=name, key="0a1b", updated_at=NOW)
        return msgspec.structs.replace(self._kept[name], created=created)

    async def list(self, namespace: str, **asked: Any) -> Page[SecretView]:
        self._engine.note("secrets", namespace, asked)
        return Page(items=[*self._kept.values()], after=None)

    async def delete(self, namespace: str, name: str) -> None:
        self._engine.note("delete secret", namespace, name)
        del self._kept[name]

    async def rotate(self, after: str | None) -> RotateAnswer:
        self._engine.note("rotate", after)
        return RotateAnswer(rotated=2)

    async def keys(self) -> Sequence[KeyView]:
        self._engine.note("keys")
        return [KeyView(id="0a1b", here=True, writes=True, secrets=2)]


class FakeRetention:
    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine

    async def show(self, namespace: str) -> KeepView:
        self._engine.note("show keep", namespace)
        return KeepView(keep=KeepSpec(), source="default")

    async def put(self, namespace: str, spec: KeepSpec, *, dry_run: bool = False) -> KeepView:
        self._engine.note("put keep", namespace, spec, dry_run)
        return KeepView(keep=spec, source="namespace", beyond=3)

    async def clear(self, namespace: str) -> KeepView:
        self._engine.note("clear keep", namespace)
        return KeepView(keep=KeepSpec(), source="default")


class FakeCollecting:
    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine

    def start(self, *, dry_run: bool) -> None:
        self._engine.note("collect", dry_run)

    async def look(self, wait_s: float) -> CollectionView:
        self._engine.note("look", wait_s)
        return CollectionView(running=not wait_s, artifacts=2)


class FakeArchives:
    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine

    async def stream(self, namespace: str, run: int) -> AsyncIterator[bytes]:
        self._engine.note("export", namespace, run)
        yield b"an archive"

    async def bring(self, namespace: str, chunks: AsyncIterator[bytes]) -> RunRef:
        self._engine.note("import", namespace, b"".join([chunk async for chunk in chunks]))
        return RunRef(id=9)


class FakeBackups:
    async def stream(self) -> AsyncIterator[bytes]:
        yield b"an archive"


class FakeUsage:
    async def look(self) -> UsageView:
        return UsageView(namespaces=[NamespaceUsage(name="default", runs=3)], disk_bytes=100, free_bytes=40)


def make() -> FakeEngine:
    engine = FakeEngine()
    engine.views = FakeViews(engine)
    engine.bulk = FakeBulk(engine)
    return engine


def assignment(task: int = 1) -> Assignment:
    return Assignment(task=task, attempt=1, run=1, node="n", kind="k", input=msgspec.Raw(b'{"x":1}'))


def failed_run() -> RunFailed:
    return RunFailed("run 1 FAILED: node n raised ValueError")


async def _pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def _task() -> TaskView:
    return TaskView(
        id=1,
        run=1,
        node="n",
        kind="k",
        branch="",
        generation=0,
        state="READY",
        attempt=0,
        failures=0,
        losses=0,
        created_at=NOW,
    )
