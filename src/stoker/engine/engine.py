"""The engine as the shells see it: one object, one attribute per noun. Built by `bootstrap`.

Every verb raises only `stoker.errors`; a verb that writes returns after its commit. All of this is for type checkers:
no server imports it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from stoker.core.audit_views import AuditOutcome, AuditView
from stoker.core.bulk import BulkVerb
from stoker.core.by_node import Said, SayRequest
from stoker.core.duration import Micros
from stoker.core.fork_views import ForkAnswer, ForkRequest
from stoker.core.graph import KindSpec
from stoker.core.keep_views import KeepSpec, KeepView
from stoker.core.manifest_views import DiffAnswer, VerifyAnswer
from stoker.core.model import Task
from stoker.core.own_claim import OwnClaim, OwnTask
from stoker.core.protocol import ClaimAnswer, ClaimRequest, Report, ReportAnswer, ReportRequest
from stoker.core.schedule_views import FiringView, RunNowRequest, ScheduleSpec, ScheduleView
from stoker.core.secret_views import KeyView, RotateAnswer, SecretRequest, SecretView
from stoker.core.standing import Standing
from stoker.core.upkeep_views import CollectionView, UsageView
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
    TriggerRequest,
)
from stoker.engine.acting import Act
from stoker.engine.caller import Caller
from stoker.engine.demand import Wanted
from stoker.engine.documents import Along, Beside, Changes, Document, Look
from stoker.engine.graph_secrets import GraphSecrets
from stoker.engine.overview import Close, Drawn, RunsPage
from stoker.engine.refusals import Refusal
from stoker.engine.scene import Scene

T = TypeVar("T")


class Catalog(Protocol):
    async def push(self, namespace: str, request: PushRequest, along: Along | None = None) -> GraphView: ...
    async def put_kinds(self, namespace: str, kinds: Sequence[KindSpec], along: Beside | None = None) -> None: ...
    async def namespaces(self) -> Sequence[str]:
        """Those that have kinds, by name."""
        ...

    async def kinds(self, namespace: str) -> list[KindSpec]: ...
    async def graphs(self, namespace: str, limit: int, after: str | None) -> Page[GraphView]: ...
    async def graph(self, namespace: str, name: str, version: int | None) -> GraphView: ...


class Bulk(Protocol):
    async def runs(self, namespace: str, verb: BulkVerb, request: BulkRequest) -> BulkAnswer:
        """Cancel or retry a page of the runs that a filter asks for."""
        ...


class Runs(Protocol):
    async def trigger(
        self, namespace: str, requests: Sequence[TriggerRequest], traceparent: str | None = None
    ) -> list[RunRef]: ...
    async def cancel(self, namespace: str, run: int) -> RunView: ...
    async def retry(self, namespace: str, run: int, *, rerun_below: bool) -> RetryAnswer: ...
    async def retry_task(
        self, namespace: str, task: int, *, rerun_below: bool, attempt: int | None = None, key: str = ""
    ) -> RetryAnswer: ...
    async def wait(self, namespace: str, run: int, wait_s: float) -> RunView: ...
    async def result(self, namespace: str, run: int, wait_s: float) -> bytes:
        """The JSON of a run's result, once it has ended; Conflict if it has not when the time is up, or failed."""
        ...


class Live(Protocol):
    async def publish(self, namespace: str, run: int, node: str, request: PublishRequest) -> OutputView | None: ...
    async def fire(self, namespace: str, run: int, node: str) -> FireAnswer: ...
    async def outputs(
        self, namespace: str, run: int, *, node: str | None, current: bool, limit: int, after: str | None
    ) -> Page[OutputView]: ...
    async def output(self, namespace: str, output: int) -> OutputView: ...
    async def value(self, namespace: str, output: int) -> AsyncIterator[bytes]:
        """The JSON of one output, to be streamed."""
        ...


class Nodes(Protocol):
    """Nodes of live runs, for those who know nothing but the node; see `nodes`."""

    async def say(self, namespace: str, run: int, node: str, request: SayRequest) -> Said: ...
    async def scene(self, namespace: str, run: int) -> Scene: ...
    async def run_of(self, namespace: str, task: int) -> int: ...
    async def outputs(self, scene: Scene, node: int | None = None) -> list[OutputView]: ...
    async def at(self, scene: Scene, numbers: Mapping[int, int]) -> dict[int, OutputView]: ...


class Tasks(Protocol):
    async def cancel(self, namespace: str, task: int) -> TaskView: ...


class Leases(Protocol):
    async def claim(self, namespace: str, request: ClaimRequest, kinds: frozenset[str]) -> ClaimAnswer:
        """Long-poll. Cancelling this call (the stream closed) is safe: what it claimed is handed back."""
        ...

    async def closed(self, session: str) -> None:
        """The claim stream of a session closed without an answer: shorten its lease to 5 s."""
        ...

    async def undelivered(self, session: str, answer: ClaimAnswer | ReportAnswer) -> None:
        """An answer could not be written: release what it carried."""
        ...

    async def report(self, namespace: str, request: ReportRequest) -> ReportAnswer: ...
    async def leave(self, namespace: str, session: str) -> None:
        """The runner ends: release all it still holds."""
        ...

    async def input(self, namespace: str, session: str, task: int, attempt: int) -> AsyncIterator[bytes]:
        """The input of a leased task, to be streamed as one JSON object."""
        ...


class Own(Protocol):
    """Runners that do not beat: an attempt has a lease of its own, and is named by task and attempt alone."""

    async def claim(self, namespace: str, asked: OwnClaim, kinds: frozenset[str] = frozenset()) -> list[OwnTask]:
        """Long-poll. Cancelling this call (the client is gone) is safe: what it claimed is handed back."""
        ...

    async def report(self, namespace: str, report: Report, kinds: frozenset[str] = frozenset()) -> Standing: ...
    async def extend(
        self, namespace: str, task: int, attempt: int, lease_s: float, *, shorten: bool = False
    ) -> Standing: ...
    async def standing(self, namespace: str, attempts: Sequence[tuple[int, int]]) -> list[Standing]: ...
    async def release(self, namespace: str, attempts: Sequence[tuple[int, int]]) -> None:
        """An answer could not be written: give back what it carried."""
        ...

    async def secrets(
        self, namespace: str, task: int, attempt: int, kinds: frozenset[str] = frozenset()
    ) -> dict[str, str]:
        """What the kind of a leased task declares; NotFound or Conflict if the attempt is not (any more)."""
        ...


class Demand(Protocol):
    async def kinds(self, namespace: str) -> dict[str, Wanted]:
        """What there is to do of each kind of a namespace, and when somebody who does it was seen last."""
        ...


class Overview(Protocol):
    async def page(self, namespace: str, *, skip: int, limit: int) -> RunsPage:
        """Runs that are not child runs, newest first, each with its states counted."""
        ...

    async def run(self, namespace: str, run: int) -> Drawn:
        """One run with its first tasks, and what hangs on them."""
        ...

    async def task(self, namespace: str, task: int) -> Close:
        """One task with the tasks above it."""
        ...

    async def causes(self, namespace: str, task: int) -> list[Task]:
        """What kept a SKIPPED join from firing and can be retried; the first of it."""
        ...


class Views(Protocol):
    async def run(self, namespace: str, run: int) -> RunView: ...
    async def runs(
        self,
        namespace: str,
        *,
        limit: int,
        after: str | None,
        state: str | None = None,
        graph: str | None = None,
        filter: str = "",  # noqa: A002  the word of the API
    ) -> Page[RunView]: ...
    async def tasks(
        self,
        namespace: str,
        run: int,
        *,
        limit: int,
        after: str | None,
        state: str | None = None,
        node: str | None = None,
        filter: str = "",  # noqa: A002  as above
        past: bool = False,
    ) -> Page[TaskView]: ...
    async def task(self, namespace: str, task: int) -> TaskView: ...
    async def attempts(self, namespace: str, task: int) -> list[AttemptView]: ...
    async def explain_run(self, namespace: str, run: int) -> Explanation: ...
    async def explain_task(self, namespace: str, task: int) -> Explanation: ...
    async def runners(self, namespace: str) -> list[RunnerView]: ...


class Logs(Protocol):
    async def page(
        self,
        namespace: str,
        *,
        run: int | None,
        task: int | None,
        node: str | None = None,
        stream: str | None = None,
        since: str | None = None,
        limit: int,
        after: int,
        wait_s: float = 0.0,
    ) -> LogPage: ...


class Waits(Protocol):
    async def settle(self, namespace: str, task: int, request: SettleRequest) -> TaskView: ...
    async def open(self, namespace: str, *, run: int | None, limit: int, after: str | None) -> Page[TaskView]: ...


class Forks(Protocol):
    async def fork(self, namespace: str, run: int, request: ForkRequest) -> ForkAnswer:
        """Start a run in the middle of one that has ended, or only say what would run again."""
        ...


class Manifests(Protocol):
    async def lines(self, namespace: str, run: int) -> AsyncIterator[bytes]:
        """The manifest of a run that has ended, a line at a time."""
        ...


class Verifying(Protocol):
    async def verify(self, namespace: str, run: int) -> VerifyAnswer: ...


class Differing(Protocol):
    async def diff(self, namespace: str, left: int, right: int) -> DiffAnswer: ...


class Recorded(Protocol):
    async def input(self, namespace: str, task: int, attempt: int | None = None) -> AsyncIterator[bytes]:
        """What an attempt of a task was given, to be streamed as one JSON object."""
        ...

    async def items(self, namespace: str, task: int) -> AsyncIterator[bytes]:
        """What a task settled with, to be streamed as one JSON list."""
        ...

    async def item(self, namespace: str, task: int, number: int) -> bytes | None:
        """The JSON of one item of a task, by its number; None if it has no such item."""
        ...


class Schedules(Protocol):
    async def put(self, namespace: str, name: str, spec: ScheduleSpec) -> ScheduleView:
        """Make a schedule, or change it."""
        ...

    def changed(self) -> None:
        """Look anew at when the next is due."""
        ...

    async def list(self, namespace: str, *, limit: int, after: str | None) -> Page[ScheduleView]: ...
    async def get(self, namespace: str, name: str, times: int) -> ScheduleView: ...
    async def pause(self, namespace: str, name: str, *, paused: bool) -> ScheduleView: ...
    async def run(self, namespace: str, name: str, request: RunNowRequest) -> RunRef: ...
    async def delete(self, namespace: str, name: str) -> None: ...
    async def firings(self, namespace: str, name: str, *, limit: int, after: str | None) -> Page[FiringView]: ...
    async def explain(self, namespace: str, name: str) -> Explanation: ...


class Secrets(Protocol):
    async def put(self, namespace: str, name: str, request: SecretRequest) -> SecretView: ...
    async def list(self, namespace: str, *, limit: int, after: str | None) -> Page[SecretView]: ...
    async def delete(self, namespace: str, name: str) -> None: ...
    async def sealed(self, namespace: str, graph: str, values: Mapping[str, str]) -> GraphSecrets:
        """Values for `Changes.put_secrets`: all secrets that a graph has of its own."""
        ...

    async def of_graph(self, namespace: str, graph: str) -> Sequence[str]:
        """The names of the secrets that a graph has of its own."""
        ...

    async def rotate(self, after: str | None) -> RotateAnswer:
        """Encrypt a slice of what does not lie under the key that writes anew, in all namespaces."""
        ...

    async def keys(self) -> Sequence[KeyView]: ...


class Documents(Protocol):
    """Records that no rule of the engine reads; see `documents`."""

    async def look(self, namespace: str, work: Callable[[Look], Awaitable[T]]) -> T: ...
    async def get(self, namespace: str, sort: str, id_: int) -> Document | None: ...
    async def named(self, namespace: str, sort: str, name: str) -> Document | None: ...
    async def list(self, namespace: str, sort: str, parent: str | None = None) -> list[Document]: ...
    async def change(self, namespace: str, work: Callable[[Changes], Awaitable[T]]) -> T:
        """Read and change in one transaction, which is undone if `work` raises. It may be called more than once."""
        ...


class Opaque(Protocol):
    """Ids that outsiders see and cannot guess."""

    async def open(self) -> None: ...
    def mac(self, text: str) -> str:
        """16 hex digits that only this installation can put beside a text."""
        ...

    async def proves(self, text: str, mac: str) -> bool: ...
    def uuid(self, run: int) -> str:
        """What a run is called outside."""
        ...

    async def run(self, uuid: str) -> int | None:
        """The run that is called so outside; None: a name that we never gave."""
        ...

    async def rotate(self) -> int:
        """Sign with a new key from now on; gives how many there are, which are all believed."""
        ...


class Retention(Protocol):
    async def show(self, namespace: str) -> KeepView: ...
    async def put(self, namespace: str, spec: KeepSpec, *, dry_run: bool = False) -> KeepView:
        """Keep by this rule from now on; `dry_run`: only say how much would be beyond it."""
        ...

    async def clear(self, namespace: str) -> KeepView:
        """Keep by what the settings say."""
        ...


class Collecting(Protocol):
    def start(self, *, dry_run: bool) -> None:
        """Begin a collection of artifacts that nothing names, unless one goes on."""
        ...

    async def look(self, wait_s: float) -> CollectionView:
        """How far it is, once it has ended or the time is up."""
        ...


class Backups(Protocol):
    def stream(self) -> AsyncIterator[bytes]:
        """A backup of the whole installation, as a tar archive."""
        ...


class Exporting(Protocol):
    def stream(self, namespace: str, run: int) -> AsyncIterator[bytes]:
        """A run that has ended as an archive."""
        ...


class Importing(Protocol):
    async def bring(self, namespace: str, chunks: AsyncIterator[bytes]) -> RunRef:
        """Make a run of an archive, to be looked at; Invalid, and nothing was done, if anything is wrong with it."""
        ...


class Usage(Protocol):
    async def look(self) -> UsageView: ...


class Artifacts(Protocol):
    async def put(self, namespace: str, name: str, media_type: str, chunks: AsyncIterator[bytes]) -> ArtifactView:
        """Stream bytes in; the artifact exists once they are durable and the row is committed."""
        ...

    async def get(self, namespace: str, artifact: int) -> ArtifactView: ...
    def read(self, view: ArtifactView, start: int, stop: int) -> AsyncIterator[bytes]:
        """Bytes [start, stop) of the content."""
        ...


class Tokens(Protocol):
    async def caller(self, token: str) -> Caller:
        """Who presents this token; Unauthorized otherwise."""
        ...

    async def create(self, request: TokenRequest) -> TokenView: ...
    async def list(self) -> list[TokenView]: ...
    async def revoke(self, token_id: int) -> None: ...


class Roles(Protocol):
    async def put(self, name: str, request: RoleRequest) -> RoleView:
        """Make a role, or change it; what it allows from now on its tokens may do from their next call on."""
        ...

    async def list(self) -> list[RoleView]: ...
    async def delete(self, name: str) -> None: ...


class Audit(Protocol):
    @property
    def triggers(self) -> bool:
        """Whether calls that start runs have rows too."""
        ...

    @property
    def now(self) -> Micros: ...
    async def list(self, *, filter: str, limit: int, after: str | None) -> Page[AuditView]: ...  # noqa: A002  the word of the API
    async def tell(self, act: Act, outcome: AuditOutcome) -> None:
        """Leave word of a call whose own transaction did not: it had nothing to change, or what it began goes on."""
        ...

    def refused(self, refusal: Refusal, subject: str, request: str) -> None:
        """Count a call that was refused; nobody waits for its row."""
        ...


class Events(Protocol):
    async def subscribe(self, namespace: str, run: int | None) -> AsyncIterator[Hint]: ...


class Engine(Protocol):
    @property
    def catalog(self) -> Catalog: ...
    @property
    def runs(self) -> Runs: ...
    @property
    def live(self) -> Live: ...
    @property
    def nodes(self) -> Nodes: ...
    @property
    def bulk(self) -> Bulk: ...
    @property
    def tasks(self) -> Tasks: ...
    @property
    def leases(self) -> Leases: ...
    @property
    def own(self) -> Own: ...
    @property
    def views(self) -> Views: ...
    @property
    def demand(self) -> Demand: ...
    @property
    def overview(self) -> Overview: ...
    @property
    def logs(self) -> Logs: ...
    @property
    def waits(self) -> Waits: ...
    @property
    def forks(self) -> Forks: ...
    @property
    def manifests(self) -> Manifests: ...
    @property
    def verifying(self) -> Verifying: ...
    @property
    def differing(self) -> Differing: ...
    @property
    def recorded(self) -> Recorded: ...
    @property
    def schedules(self) -> Schedules: ...
    @property
    def secrets(self) -> Secrets: ...
    @property
    def documents(self) -> Documents: ...
    @property
    def opaque(self) -> Opaque: ...
    @property
    def retention(self) -> Retention: ...
    @property
    def collecting(self) -> Collecting: ...
    @property
    def exporting(self) -> Exporting: ...
    @property
    def importing(self) -> Importing: ...
    @property
    def backups(self) -> Backups: ...
    @property
    def usage(self) -> Usage: ...
    @property
    def artifacts(self) -> Artifacts: ...
    @property
    def tokens(self) -> Tokens: ...
    @property
    def roles(self) -> Roles: ...
    @property
    def audit(self) -> Audit: ...
    @property
    def events(self) -> Events: ...

    async def ready(self) -> Sequence[str]:
        """Return when the store answers, with what cannot be done all the same; Unavailable otherwise."""
        ...
