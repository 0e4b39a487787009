"""The client: push graphs, trigger runs, wait for results. Plain calls; the coroutines behind them are in `api.py`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from stoker.authoring.dump import plain, to_json
from stoker.authoring.file import File, uploaded
from stoker.core.audit_views import AuditView
from stoker.core.fork_views import ForkAnswer, ForkEdit, ForkRequest
from stoker.core.manifest_views import DiffAnswer, VerifyAnswer
from stoker.core.values import decoded
from stoker.core.views import (
    BulkAnswer,
    BulkRequest,
    GraphView,
    OutputView,
    PublishRequest,
    RetryAnswer,
    RunRef,
    SettleRequest,
    TaskView,
    TriggerRequest,
)
from stoker.errors import Conflict, Invalid
from stoker.runner import manifests
from stoker.runner import replay as replaying
from stoker.runner.api import Api
from stoker.runner.bulk import Pages, pages, together
from stoker.runner.handle import RunHandle
from stoker.runner.local import Content, LocalFiles
from stoker.runner.portal import Caller, Portal
from stoker.runner.replay import Replay
from stoker.runner.retention import Retention
from stoker.runner.schedules import Schedules
from stoker.runner.secrets import Secrets
from stoker.runner.work import flatten

T = TypeVar("T")


class Client:
    """One server, one namespace; from STOKER_URL, STOKER_TOKEN and STOKER_NAMESPACE unless given.

    Works anywhere, also inside of a running event loop (which it blocks, as any plain call does): its own loop runs in
    a thread. Raises `stoker.errors`: Rejected when the server says no, Unavailable when it cannot be reached.
    `schedules`: runs that start by themselves. `secrets`: what nodes may read that declare it. `retention`: what is
    kept of runs that have ended. `api` and `portal` replace the connection and the loop.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        namespace: str | None = None,
        *,
        api: Api | None = None,
        portal: Caller | None = None,
    ) -> None:
        self.api = api or Api(url, token, namespace)
        self.schedules = Schedules(self)
        self.secrets = Secrets(self)
        self.retention = Retention(self)
        self._portal = portal or Portal()
        self._pushed: dict[int, tuple[Any, str]] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._copies: dict[int, Path] = {}
        self._lock = Lock()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections and remove what was downloaded."""
        try:
            self.call(self.api.close())
        except Conflict:  # closed before
            return
        self._portal.close()
        if self._folder is not None:
            self._folder.cleanup()

    def push(self, graph: Any) -> GraphView:
        """Publish a graph with the kinds it uses; an unchanged one keeps its version."""
        return self.call(self.api.push(graph.push_request()))

    def trigger(
        self,
        graph: Any,
        /,
        idempotency_key: str | None = None,
        priority: int = 5,
        weight: int = 1,
        version: int | None = None,
        tags: Mapping[str, str] | None = None,
        store: Mapping[str, Any] | None = None,
        **inputs: Any,
    ) -> RunHandle:
        """Start a run of a graph (an object, pushed first, or the name of one). Files in inputs are uploaded.

        The same `idempotency_key` gives the same run again. `version` None: the newest. Tasks of runs of higher
        `priority` (0 to 9) go first; alike runs share by `weight` (1 to 100). By its `tags` the run is found again,
        such as `{"team": "blue"}`. `store`: the values that `stoker.store(key)` stands for.
        """
        request = TriggerRequest(
            graph=self.name_of(graph),
            version=version,
            idempotency_key=idempotency_key,
            priority=priority,
            weight=weight,
            tags=dict(tags or {}),
        )
        return self.call(self._trigger(request, inputs, store or {}))

    def trigger_many(
        self,
        graph: Any,
        inputs: Sequence[Mapping[str, Any]],
        tags: Mapping[str, str] | None = None,
        store: Mapping[str, Any] | None = None,
        *,
        priority: int = 5,
        weight: int = 1,
    ) -> list[RunHandle]:
        """Start a run for each of the inputs, in one transaction. All else is the same for all."""
        request = TriggerRequest(graph=self.name_of(graph), priority=priority, weight=weight, tags=dict(tags or {}))
        return self.call(self._trigger_many(request, inputs, store or {}))

    def run(self, run: int) -> RunHandle:
        """Return the handle of a run, without asking the server."""
        return RunHandle(self, run)

    def waits(self, run: int | None = None) -> list[TaskView]:
        """Return the waits that are to be settled, of one run or of all, oldest first; at most 1,000."""
        return self.call(self.api.waits(run=run, limit=1_000)).items

    def shown(self, task: int) -> Any:
        """Return what a wait shows to whoever settles it."""
        return self.value(self.call(self.api.task_input(task)))

    def fork(
        self,
        run: int,
        start: str,
        branch: str | None = None,
        *,
        inputs: Mapping[str, Any] | None = None,
        edits: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        dry_run: bool = False,
    ) -> ForkAnswer:
        """Start a run that takes over what another one did; the node `start` and what is below it run anew.

        `branch`: only one task of the node, such as `split[3]`. `inputs`: those of the run that are otherwise. `edits`:
        items of nodes right before the start that are, by `"node"` or `"node@split[3]"`. `dry_run`: only say what would
        run again. Conflict if the run has not ended.
        """
        return self.call(self._fork(run, start, branch, inputs or {}, edits or {}, dict(tags or {}), dry_run=dry_run))

    def manifest(self, run: int) -> bytes:
        """The manifest of a run that has ended: lines of JSON, each with the hash of the one before it."""
        return self.call(self.api.manifest(run))

    def verify(self, run: int, manifest: bytes | None = None) -> VerifyAnswer:
        """Have all of a run computed anew from its rows and files; the answer names the first thing that does not fit.

        `manifest`: one that was kept of it, with which everything is compared. Invalid if that was changed itself.
        """
        kept = None if manifest is None else manifests.sound(manifest, run)
        answer = self.call(self.api.verify(run))
        if kept is None or not answer.fits:
            return answer
        return manifests.compared(answer, kept, self.manifest(run))

    def diff(self, run: int, other: int) -> DiffAnswer:
        """Where two runs part, and why: code, inputs, what came before, a failure, or nothing that is recorded."""
        return self.call(self.api.diff(run, other))

    def replay(self, task: int, /, *nodes: Any, attempt: int | None = None, debug: bool = False) -> Replay:
        """Run a task once more, in this very thread, with what it was given then; nothing changes on the server.

        `nodes`: the node of its kind, or graphs that have it. `attempt` None: the newest one. `debug`: a debugger opens
        where the code raises. Secrets are taken from STOKER_REPLAY_SECRET_NAME in the environment.
        """
        view = self.call(self.api.task(task))
        work = replaying.work_for(view, flatten(nodes))
        record = self.call(self._record(view, attempt))
        return replaying.replay(record, work, LocalFiles(self.fetch), self._content, debug=debug)

    def settle(self, task: int, value: Any = None, *, fail: str | None = None) -> TaskView:
        """Settle a wait with a value, or with a failure and its reason. Conflict if it was settled otherwise."""
        return self.call(self._settle(task, value, fail))

    def retry_task(self, task: int, *, rerun_below: bool = False) -> RetryAnswer:
        """Make one task READY again that FAILED, or was pruned or cancelled. Conflict says why not, and what instead.

        `rerun_below`: joins that fired without it are run again, and all below those.
        """
        return self.call(self.api.retry_task(task, rerun_below=rerun_below))

    def cancel_runs(self, filter: str, *, dry_run: bool = False, all: bool = False) -> BulkAnswer:  # noqa: A002  the words of the API
        """Cancel the runs that a filter asks for, such as `graph=nightly created>1d`; `all`: an empty one means all."""
        return together(self._bulk(self.api.cancel_runs, BulkRequest(filter=filter, all=all, dry_run=dry_run)))

    def retry_runs(self, filter: str, *, dry_run: bool = False, all: bool = False) -> BulkAnswer:  # noqa: A002  as above
        """Retry the runs that a filter asks for, such as `state=FAILED tag.team=blue`."""
        return together(self._bulk(self.api.retry_runs, BulkRequest(filter=filter, all=all, dry_run=dry_run)))

    def _bulk(self, verb: Callable[[BulkRequest], Coroutine[Any, Any, BulkAnswer]], request: BulkRequest) -> Pages:
        return pages(lambda page: self.call(verb(page)), request)

    def audit(self, filter: str = "", *, limit: int = 100) -> list[AuditView]:  # noqa: A002  as above
        """Return who did what, newest first, such as `verb=cancel_run subject=run:12 at>2d`. Needs scope `admin`."""
        return self.call(self.api.audit(filter, limit=limit)).items

    def export_run(self, run: int, target: str | Path) -> Path:
        """Write a run that has ended into a new file, with its child runs and all bytes that it names."""
        return self.call(self.api.archives.export(run, Path(target)))

    def import_run(self, source: str | Path) -> RunHandle:
        """Bring a run in that was exported, here or elsewhere. It has a new id, and is only looked at."""
        return self._handle(self.call(self.api.archives.bring(Path(source))))

    def cancel_task(self, task: int) -> TaskView:
        """Ask one task to end: CANCELLED at once if nobody runs it, else once its runner has stopped it.

        What waits for it takes it as failed. Conflict if it has ended otherwise.
        """
        return self.call(self.api.cancel_task(task))

    # for handles, files and schedules

    def name_of(self, graph: Any) -> str:
        """Return the name of a graph; push it if it is an object that this client has not pushed yet."""
        if isinstance(graph, str):
            return graph
        if not hasattr(graph, "push_request"):
            raise Invalid(
                f"{graph!r} is neither a graph nor the name of one",
                remedy="Decorate the function with `@stoker.graph`.",
            )
        if id(graph) not in self._pushed:
            self._pushed[id(graph)] = (graph, self.push(graph).name)  # the object is kept, so its id stays its own
        return self._pushed[id(graph)][1]

    async def encoded(self, inputs: Mapping[str, Any]) -> dict[str, msgspec.Raw]:
        ready = await uploaded(dict(inputs), self._upload)
        return {name: _encode(name, value) for name, value in ready.items()}

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine (of `api`) and wait for it."""
        return self._portal.call(coroutine)

    def value(self, document: bytes) -> Any:
        """Decode a result; artifact handles in it become files that open through this client."""
        return self._with_files(decoded(document))

    async def publish(self, run: int, node: str, value: Any, name: str, status: str) -> OutputView | None:
        """Publish a value to a node of a live run; its files are uploaded."""
        encoded = (await self.encoded({"value": value}))["value"]
        return await self.api.publish(run, node, PublishRequest(value=encoded, name=name, status=status))

    def fetch(self, artifact: int) -> Path:
        """Download an artifact, once, into a folder that lives as long as this client."""
        with self._lock:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="stoker-client-")
            copy = self._copies.get(artifact)
            if copy is None or not copy.exists():
                folder = Path(self._folder.name, str(artifact))
                copy = self._copies[artifact] = self.call(self.api.download(artifact, folder))
            return copy

    # steps

    async def _trigger(self, request: TriggerRequest, inputs: Mapping[str, Any], store: Mapping[str, Any]) -> RunHandle:
        given = replace(request, inputs=await self.encoded(inputs), store=await self.encoded(store))
        return self._handle(await self.api.trigger(given))

    async def _fork(
        self,
        run: int,
        start: str,
        branch: str | None,
        inputs: Mapping[str, Any],
        edits: Mapping[str, Any],
        tags: dict[str, str],
        *,
        dry_run: bool,
    ) -> ForkAnswer:
        items = await self.encoded(edits)
        request = ForkRequest(
            from_=start,
            branch=branch,
            inputs=await self.encoded(inputs),
            edits=[ForkEdit(node=at.partition("@")[0], branch=at.partition("@")[2], value=items[at]) for at in items],
            tags=tags,
            dry_run=dry_run,
        )
        return await self.api.fork(run, request)

    async def _settle(self, task: int, value: Any, fail: str | None) -> TaskView:
        if fail is not None:
            return await self.api.settle(task, SettleRequest(fail=fail))
        return await self.api.settle(task, SettleRequest(value=(await self.encoded({"value": value}))["value"]))

    async def _trigger_many(
        self, request: TriggerRequest, inputs: Sequence[Mapping[str, Any]], store: Mapping[str, Any]
    ) -> list[RunHandle]:
        request = replace(request, store=await self.encoded(store))
        requests = [replace(request, inputs=await self.encoded(one)) for one in inputs]
        return [self._handle(ref) for ref in await self.api.trigger_batch(requests)]

    async def _record(self, view: TaskView, attempt: int | None) -> replaying.Record:
        """What is kept of an attempt of a task."""
        return replaying.Record(
            view=view,
            attempt=attempt or max(1, view.attempt),
            input=await self.api.task_input(view.id, attempt),
            items=await self.api.task_items(view.id),
            attempts=await self.api.attempts(view.id),
        )

    def _content(self, artifact: int) -> Content:
        view = self.call(self.api.artifact(artifact))
        return Content(view.name, view.size, view.sha256)

    async def _upload(self, file: File) -> int:
        return (await self.api.upload(file.path, file.name, file.media_type)).id

    def _handle(self, ref: RunRef) -> RunHandle:
        return RunHandle(self, ref.id, created=ref.created)

    def _with_files(self, value: Any) -> Any:
        match value:
            case {"$artifact": int(artifact)} if len(value) == 1:
                return FetchedFile.through(self, artifact)
            case dict():
                return {key: self._with_files(item) for key, item in value.items()}
            case list():
                return [self._with_files(item) for item in value]
            case _:
                return value


class FetchedFile(File):
    """A file in a result: its bytes come through the client when they are asked for."""

    __slots__ = ("_client",)
    _client: Client

    @classmethod
    def through(cls, client: Client, artifact: int) -> FetchedFile:
        file = cls.of(artifact)
        assert isinstance(file, FetchedFile)
        file._client = client
        return file

    @property
    def path(self) -> Path:
        """A local copy, as long as the client is open."""
        assert self.id is not None
        return self._client.fetch(self.id)


def _encode(name: str, value: Any) -> msgspec.Raw:
    try:
        return msgspec.Raw(to_json(plain(value, name)))
    except Invalid as error:
        raise Invalid(f"the input cannot be JSON: it {error.message}", place=error.place or name) from error
