"""The engine's records as values: a task, a run, a join row, an item. Frozen; a change is a new value."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from stoker.core.duration import Micros
from stoker.core.states import RunState, Stopping, TaskState, Verb

MAX_TASKS = 1_000_000  # of one run
MAX_ITEMS = 100_000  # of one report, and elements of one expansion
SLICE = 1_000  # tasks of a node that one settle makes at once, and of one spread row; the rest is made later
CHILDREN = 100  # the same, of child runs
ELEMENT_INLINE = 1024  # bytes; a child carries an element up to this size, a larger one is read from its source
PAYLOAD_INLINE = 1024 * 1024  # bytes; a larger value lies in the artifact store
GRACE: Micros = 30_000_000  # how long a cancelled attempt may take to confirm
LEASE: Micros = 20_000_000
CLOSED_GRACE: Micros = 5_000_000  # lease left after a closed claim stream


class Task(msgspec.Struct, frozen=True):
    """One unit of work. `attempt` is the fence; `ended` says what ended the last attempt.

    `deadline`: what is due next of it in its present state (`core/times.py`), `expires_at`: the end of it all.
    `cancel_at`: when its own cancel was asked for. `until`: when the lease of the newest attempt ends, or ended, if it
    is its own; None: the beats of its session keep it. `answer`: the number of the answer that brought it, negative
    once the holder of an own lease was heard of.

    The order of the fields is the order of the columns in SQL.
    """

    id: int
    run: int
    node: int
    branch: bytes
    generation: int = 0
    state: TaskState = TaskState.READY
    attempt: int = 0
    failures: int = 0
    losses: int = 0
    priority: int = 5
    lane: int = 0
    order_at: Micros = 0
    due_at: Micros | None = None
    parent: int | None = None
    element: bytes | None = None
    session: int | None = None
    answer: int = 0
    deadline: Micros | None = None
    ended: Verb = Verb.NONE
    withheld: bool = False
    code: str = ""
    created_at: Micros = 0
    claimed_at: Micros | None = None
    settled_at: Micros | None = None
    gate: int | None = None
    expires_at: Micros | None = None
    cancel_at: Micros | None = None
    until: Micros | None = None


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """Tasks of one node that are still to be made: READY, or CANCELLED with their run. `branch`: above all of them.

    `places` says where each stands below that, with its element (`core/spread.py`). The order of the fields is the
    order of the columns in SQL.
    """

    id: int
    run: int
    node: int
    branch: bytes
    parent: int | None = None
    tasks: int
    state: TaskState = TaskState.READY
    created_at: Micros = 0
    places: bytes
    expires_at: Micros | None = None
    generation: int = 0


class Run(msgspec.Struct):
    """One execution of a graph version. `open`: tasks READY, LEASED or spreading. `failed`: failures not tolerated.

    `weight`: how many of its tasks are claimed for one of another run, where both have many.

    Not frozen: a fold counts in its own copy.

    A child run has the run at the top of its tree as `root`, and as `parent` the task that waits for its end.
    One that a schedule started has `schedule`, and as `scheduled_at` the time it was due.
    `traceparent`: where it stands in a trace (`core/trace`).
    `token`: with which it was started (0: the server's own); None: nobody's call.

    The order of the fields is the order of the columns in SQL.
    """

    id: int
    namespace: int
    version: int
    state: RunState = RunState.RUNNING
    stopping: Stopping = Stopping.NO
    priority: int = 5
    last_order_at: Micros = 0
    open: int = 0
    tasks: int = 0
    failed: int = 0
    created_at: Micros = 0
    ended_at: Micros | None = None
    cancel_at: Micros | None = None
    weight: int = 1
    root: int | None = None
    parent: int | None = None
    schedule: int | None = None
    scheduled_at: Micros | None = None
    traceparent: str | None = None
    token: int | None = None


class JoinState:
    OPEN = 1
    FIRED = 2
    SKIPPED = 3


class JoinKey(NamedTuple):
    """A join row is found by run, join node and the branch of its anchor task."""

    run: int
    join: int
    branch: bytes


class JoinRow(msgspec.Struct, kw_only=True):
    """The counters of one open or decided join; a cache of a definition (`firing.recount`).

    `generation`: that of the task which it makes. Not frozen: a fold counts in its own copy.
    """

    open: int = 0
    members: int = 0
    arrived: int = 0
    empty: int = 0
    failed: int = 0
    state: int = JoinState.OPEN
    generation: int = 0


class ItemKey(NamedTuple):
    """An item is found by its task's place and its index."""

    run: int
    node: int
    branch: bytes
    item: int


class NewItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item about to be written. `blob`: the key of its bytes in the artifact store; `body` is then not stored."""

    key: ItemKey
    body: bytes
    blob: str | None = None


class StoredItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item as read: its bytes, or where they are."""

    key: ItemKey
    size: int
    body: bytes | None
    blob: str | None = None


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """The history row of an attempt that did not settle its task well."""

    task: int
    run: int
    attempt: int
    outcome: str
    code: str
    message: str
    type: str = ""
    traceback: str = ""
    session: int | None = None
    started_at: Micros | None = None
    ended_at: Micros = 0
