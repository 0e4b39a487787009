"""What the native API takes and shows: shapes shared by the server and the client. Times are RFC 3339, UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

import msgspec

from stoker.core.graph import Duration, GraphSpec, KindSpec
from stoker.core.protocol import ABSENT
from stoker.core.roles import ScopeName

TaskStateName = Literal["READY", "LEASED", "SUCCEEDED", "FAILED", "PRUNED", "CANCELLED", "SKIPPED"]
RunStateName = Literal["RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"]


class _View(msgspec.Struct, frozen=True, kw_only=True):
    pass


class PushRequest(_View, frozen=True, forbid_unknown_fields=True):
    """Publish a graph with the kinds it uses. An unchanged graph keeps its version.

    `inner`: graphs that it runs as child runs, published before it, in this order.
    """

    graph: GraphSpec
    kinds: tuple[KindSpec, ...] = ()
    inner: tuple[GraphSpec, ...] = ()


class KindsRequest(_View, frozen=True, forbid_unknown_fields=True):
    kinds: tuple[KindSpec, ...]


class GraphView(_View, frozen=True):
    """`spec` is left out of lists. `created`: whether this push made a new version."""

    name: str
    version: int
    hash: str
    created_at: datetime
    created: bool = False
    warnings: list[str] = []
    spec: GraphSpec | None = None


class TriggerRequest(_View, frozen=True, forbid_unknown_fields=True):
    """Start a run. `version` None: the newest. The same `idempotency_key` gives the same run again.

    `priority`: 0 to 9; the tasks of a run of higher priority go first. `weight`: 1 to 100; where runs have many tasks,
    so many of this one are claimed for one of a run of weight 1. `tags`: names and values to find it by, at most 32.
    `store`: key-values that nodes and conditions may read. `delay`: after which the first tasks may be had.
    """

    graph: str
    inputs: dict[str, msgspec.Raw] = {}
    version: int | None = None
    idempotency_key: str | None = None
    priority: int = 5
    weight: int = 1
    tags: dict[str, str] = {}
    store: dict[str, msgspec.Raw] = {}
    delay: Duration | None = None


class TriggerBatch(_View, frozen=True, forbid_unknown_fields=True):
    runs: list[TriggerRequest]


class RunRef(_View, frozen=True):
    """`created` False: the idempotency key had made this run before."""

    id: int
    created: bool = True


class Cause(_View, frozen=True):
    """Why a run failed: one failed (or cancelled) task."""

    task: int
    node: str
    branch: str
    attempt: int
    code: str
    message: str
    type: str = ""
    traceback: str = ""


class NodeCounts(_View, frozen=True):
    """How many tasks of a node stand where. `progress`: the mean fraction reported by its leased tasks."""

    node: str
    kind: str
    ready: int = 0
    leased: int = 0
    succeeded: int = 0
    failed: int = 0
    pruned: int = 0
    cancelled: int = 0
    skipped: int = 0
    progress: float | None = None
    message: str = ""


class ForkedFrom(_View, frozen=True):
    """The run whose tasks it took over, and the node (and branch) at which it started."""

    run: int
    node: str
    branch: str = ""


class RunView(_View, frozen=True):
    """`nodes`, `causes` and `live` (the nodes of a live run) are left out of lists.

    `stopping`: a cancel was requested and is being carried out. Of a child run: `root` is the run at the top of its
    tree, `parent` the task that waits for its end. Of a run that a schedule started: `schedule` is its name (None once
    that was deleted), `scheduled_at` the time it was due. `trace`: the id of the OpenTelemetry trace it is part of.
    `imported`: where it was brought from, to be looked at; left out of lists.
    `fork`: where it was forked from; left out of lists. `token`: with which it was started; 0: the server's own.
    """

    id: int
    namespace: str
    graph: str
    version: int
    state: RunStateName
    stopping: bool
    priority: int
    weight: int
    created_at: datetime
    ended_at: datetime | None = None
    idempotency_key: str | None = None
    tags: dict[str, str] = {}
    root: int | None = None
    parent: int | None = None
    schedule: str | None = None
    scheduled_at: datetime | None = None
    trace: str | None = None
    imported: str | None = None
    fork: ForkedFrom | None = None
    token: int | None = None
    tasks: int = 0
    nodes: list[NodeCounts] = []
    causes: list[Cause] = []
    live: list[LiveNodeView] = []


class TaskView(_View, frozen=True):
    """`past`: a re-run has replaced it, and the run does not count it any more.

    `child`: the run that a task of the kind `stoker.subgraph` waits for; left out of lists, as is `source_hash`: that
    of the kind's code, as the run's version has it.
    """

    id: int
    run: int
    node: str
    kind: str
    branch: str
    generation: int
    state: TaskStateName
    attempt: int
    failures: int
    losses: int
    created_at: datetime
    due_at: datetime | None = None
    expires_at: datetime | None = None
    claimed_at: datetime | None = None
    settled_at: datetime | None = None
    session: int | None = None
    runner: str = ""
    cancel_requested: bool = False
    child: int | None = None
    source_hash: str = ""
    code: str = ""
    message: str = ""
    progress: float | None = None
    progress_message: str = ""
    past: bool = False


class SettleRequest(_View, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a wait is settled with: a value that fits its schema, or why it fails."""

    value: msgspec.Raw = ABSENT
    fail: str | None = None


class AttemptView(_View, frozen=True):
    """One attempt that did not settle its task well: how it ended and what it said."""

    attempt: int
    outcome: str
    code: str
    message: str
    type: str = ""
    traceback: str = ""
    runner: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None


class LogView(_View, frozen=True):
    """A chunk of captured output. `cursor` is where the next request goes on (`after=`)."""

    cursor: int
    task: int
    node: str
    branch: str
    attempt: int
    stream: str
    at: datetime
    text: str


class LogPage(_View, frozen=True):
    """Chunks in the order in which they came. `after`: the cursor to go on from, though there may be no chunks.

    `ended`: the run, or the task, is over, and this is the last page. Else there is more, or there may be later.
    """

    items: list[LogView]
    after: int
    ended: bool


class Explanation(_View, frozen=True):
    """One causal answer: the state, then what it waits for or what made it so, most important first."""

    subject: str
    state: str
    because: list[str]
    remedy: str = ""


class RunnerView(_View, frozen=True):
    session: int
    name: str
    kinds: list[str]
    labels: dict[str, str]
    capacity: int
    leases: int
    connected: bool
    started_at: datetime
    lease_until: datetime | None = None
    version: str = ""


class ArtifactView(_View, frozen=True):
    """`{"$artifact": id}` in any JSON value is a handle to it."""

    id: int
    name: str
    media_type: str
    size: int
    sha256: str
    created_at: datetime


T = TypeVar("T")


class Page(_View, Generic[T], frozen=True):
    """`after` goes into the next request's `after=`; None on the last page."""

    items: list[T]
    after: str | None = None


class BulkRequest(_View, frozen=True, forbid_unknown_fields=True):
    """Do it to the runs that a filter asks for: to one page of them, behind `after`. `dry_run`: only say to which.

    `all`: an empty filter means every run.
    """

    filter: str = ""
    all: bool = False
    dry_run: bool = False
    limit: int = 100
    after: str | None = None


class Skipped(_View, frozen=True):
    """Something that a verb for many was not done to, and why."""

    id: int
    code: str
    message: str


class BulkAnswer(_View, frozen=True):
    """What one page came to. `done`: to which it was (or would be) done. `after` goes into the next request.

    A page may end before its limit; only without `after` it was the last one.
    """

    matched: int
    done: list[int]
    skipped: list[Skipped] = []
    after: str | None = None


class TaskAttempt(_View, frozen=True):
    """A task with the attempt that stands, or that is to come next."""

    task: int
    attempt: int


class RetryAnswer(_View, frozen=True):
    """`retried`: tasks made READY again. `fired`: joins that had fired already and will not fire again.

    `fired_tasks`: the tasks of such joins. `attempt`: of one task that was retried, the one that is to come.
    `rerun`: joins that had fired and are decided anew, in this `generation`; `replaced`: how many of their tasks, and
    of those below, now belong to the past.
    """

    retried: int
    fired: list[str] = []
    fired_tasks: list[TaskAttempt] = []
    attempt: int = 0
    rerun: list[str] = []
    generation: int = 0
    replaced: int = 0


class PublishRequest(_View, frozen=True, forbid_unknown_fields=True):
    """An output of a node from outside. Without `value`: only that it settled, well or (`failed`) not.

    `about`: what is given back with the output, and read by nobody; at most 64 KiB of text.
    """

    value: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    name: str = ""
    about: str = ""
    status: str = ""
    failed: bool = False


class OutputView(_View, frozen=True):
    """An output of a node of a live run.

    `number` counts those of the node. `task`, `attempt`: what gave it; without, it was published. `counts`: whether its
    attempt has completed; others read the newest of those that do (`current`). `value` is left out if it is large:
    `GET …/outputs/{id}/value` has it.
    """

    id: int
    run: int
    node: str
    number: int
    counts: bool
    current: bool
    size: int
    created_at: datetime
    name: str = ""
    task: int | None = None
    attempt: int = 0
    about: str = ""
    value: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class FireAnswer(_View, frozen=True):
    """The task that will run, or runs. `dirty`: that one is being run, and one more firing follows."""

    task: int
    generation: int
    state: TaskStateName
    dirty: bool = False


class LiveNodeView(_View, frozen=True):
    """A node of a live run.

    `generation` counts its firings from 0; -1: none yet. `output`: the current one. `dirty`: what it reads has changed
    while it is being run, so it fires once more. `waits_for`: why it has not fired.
    """

    node: str
    kind: str
    state: TaskStateName | None = None
    generation: int = -1
    task: int | None = None
    output: int | None = None
    outputs: int = 0
    dirty: bool = False
    status: str = ""
    waits_for: str = ""


class RoleRequest(_View, frozen=True, forbid_unknown_fields=True):
    """What a role allows."""

    scopes: list[ScopeName]


class RoleView(_View, frozen=True):
    """A role. `tokens`: how many hold it and can still be used. `created`: whether this call made it."""

    name: str
    scopes: list[ScopeName]
    built_in: bool = False
    tokens: int = 0
    created: bool = False


class TokenRequest(_View, frozen=True, forbid_unknown_fields=True):
    """A token may do what its `role` allows, as that is at each call, and besides what its own `scopes` do.

    Empty `namespaces` and `kinds` mean all; `kinds` limits what scope `run` may claim.
    """

    name: str
    scopes: list[ScopeName] = []
    role: str | None = None
    namespaces: list[str] = []
    kinds: list[str] = []
    expires_in_s: float | None = None


class TokenView(_View, frozen=True):
    """`token` is shown once, in the answer that made it; only its hash is kept.

    `scopes`: all that it may do now, those of its role among them.
    """

    id: int
    name: str
    scopes: list[str]
    namespaces: list[str]
    kinds: list[str]
    created_at: datetime
    role: str | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    token: str | None = None


class Hint(_View, frozen=True):
    """Something changed; ask for the facts. Sent as a server-sent event; may be dropped, repeated or merged."""

    kind: Literal["run", "task", "output", "log", "runner"]
    run: int = 0
    task: int = 0
    state: str = ""


def to_json(value: Any) -> bytes:
    """The one encoder of the native API."""
    return msgspec.json.encode(value)
