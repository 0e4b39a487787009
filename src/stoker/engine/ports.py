"""What the engine asks of the outside: a store, time, dice, and a place for large bytes.

A `Tx` is one transaction that writes; a `Reader` looks without locks. Their methods are coroutines because a store may
wait on a network; the embedded one never suspends, and runs a whole transaction in its writer thread.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

from stoker.core.decide import Fold
from stoker.core.duration import Micros
from stoker.core.gate import Gate
from stoker.core.live import LiveNode
from stoker.core.model import ItemKey, JoinKey, JoinRow, Run, Spread, StoredItem, Task
from stoker.core.reopen import Plan

T = TypeVar("T")
Row = Sequence[Any]


class VersionRow(NamedTuple):
    id: int
    namespace: int
    graph: str
    number: int
    spec: str
    kinds: str


class SessionRow(NamedTuple):
    id: int
    namespace: int
    info: str
    until: Micros
    ended_at: Micros | None


class Place(NamedTuple):
    """Where tasks of a run stand."""

    run: int
    node: int
    branch: bytes


class Lane(NamedTuple):
    id: int
    namespace: int
    kind: str
    requires: str
    gate: int = 0  # none
    keyed: int = 0  # each value has a gate of its own; that of the lane is their template


class Head(NamedTuple):
    """A gate with READY tasks in a lane: where the first of them stands in the queue, how many leases there are."""

    lane: int
    order_at: Micros
    live: int
    gate: Gate


class Passed(NamedTuple):
    """A gate that another transaction has just locked."""

    gate: int


class Admitted(NamedTuple):
    """A lane to claim from. `room`: how many tasks may be taken from all lanes of its gate together."""

    lane: int
    gate: int
    room: int


class Lease(NamedTuple):
    task: int
    attempt: int
    session: int
    answer: int


class SessionPut(NamedTuple):
    """A session's row as it shall be; `until` None: as it is.

    `expected`: what `until` must be now, or the transaction is undone; None: whatever it is.
    """

    id: int
    until: Micros | None
    ended_at: Micros | None
    expected: Micros | None = None


class Locked(NamedTuple):
    """What a transaction may change. `promised`: until when the sessions of these tasks were promised their leases."""

    runs: list[Run]
    tasks: list[Task]
    promised: dict[int, Micros]


LiveOf = Callable[[Sequence[Run]], Awaitable[Sequence[int]]]
"""Says of locked runs which are live."""


async def none_live(_: Sequence[Run]) -> Sequence[int]:
    return ()


class ProgressRow(NamedTuple):
    task: int
    run: int
    attempt: int
    fraction: float | None
    message: str


class LogRow(NamedTuple):
    run: int
    task: int
    attempt: int
    seq: int
    stream: str
    at: Micros
    text: str
    total: int


class AuditRow(NamedTuple):
    """A row of the audit log, by column. `subjects`: as `acting.joined` writes them; `number`: of them."""

    at: Micros
    token: int | None
    name: str
    namespace: str
    verb: str
    subjects: str
    number: int
    address: str
    request: str
    outcome: str
    code: str
    details: str


class Reader(Protocol):
    """Questions. `rows` runs a named statement for the views; everything the verbs need has its own method."""

    async def rows(self, query: str, *parameters: Any) -> list[Row]: ...
    async def tasks(self, ids: Iterable[int]) -> list[Task]: ...
    async def task_rows(self, query: str, *parameters: Any) -> list[Task]: ...
    async def tasks_at(self, places: Iterable[Place]) -> list[Task]:
        """What stands at these places; of a live run, every firing."""
        ...

    async def more_at(self, places: Iterable[Place]) -> list[Row]:
        """How many items beyond the first stand at each of these places, where there are any: node, branch, count."""
        ...

    async def past_tasks(self, query: str, *parameters: Any) -> list[Task]:
        """Tasks that a re-run replaced, by a named statement."""
        ...

    async def item_rows(self, query: str, *parameters: Any) -> list[StoredItem]: ...
    async def past_items(self, query: str, *parameters: Any) -> list[tuple[StoredItem, Task]]:
        """Items that a re-run replaced, each with its task, by a named statement."""
        ...

    async def spreads(self, ids: Iterable[int]) -> list[Spread]: ...
    async def run_spreads(self, run: int) -> list[Spread]: ...
    async def runs(self, ids: Iterable[int]) -> list[Run]: ...
    async def run_rows(self, query: str, *parameters: Any) -> list[Run]: ...
    async def live_nodes(self, runs: Iterable[int]) -> list[LiveNode]: ...
    async def live_node_of(self, task: int, attempt: int, session: int) -> LiveNode | None:
        """The node of a live run whose newest task's attempt this session holds right now."""
        ...

    async def join_rows(self, keys: Iterable[JoinKey]) -> list[tuple[JoinKey, JoinRow]]: ...
    async def join_page(self, query: str, *parameters: Any) -> list[tuple[JoinKey, JoinRow]]: ...
    async def run_join_rows(self, run: int) -> list[tuple[JoinKey, JoinRow]]: ...
    async def items(self, keys: Iterable[ItemKey]) -> list[StoredItem]: ...
    async def items_below(self, run: int, node: int, prefix: bytes) -> list[StoredItem]: ...
    async def items_after(self, seen: ItemKey, prefix: bytes, limit: int) -> list[StoredItem]: ...
    async def size_below(self, run: int, node: int, prefix: bytes) -> tuple[int, int]: ...
    async def run_inputs(self, runs: Iterable[int]) -> dict[int, bytes]: ...
    async def run_stores(self, runs: Iterable[int]) -> dict[int, bytes]: ...
    async def version(self, version: int) -> VersionRow | None: ...
    async def session(self, secret: bytes) -> SessionRow | None: ...
    async def session_ends(self, sessions: Iterable[int]) -> dict[int, Micros]:
        """Until when sessions are promised their leases; 0: they ended."""
        ...

    async def leases_of(self, sessions: Iterable[int], limit: int) -> list[Lease]: ...
    async def gate(self, gate: int) -> Gate | None: ...
    async def gate_leases(self, gates: Sequence[int]) -> dict[int, int]:
        """How many tasks of these gates are being run. Only a gate that is locked gets no more of them meanwhile."""
        ...

    async def ids(self, query: str, *parameters: Any) -> list[int]: ...


class Tx(Reader, Protocol):
    """One transaction. `write` puts a whole decision down, guarded; a guard that fails raises `GuardFailed`."""

    async def lock(self, runs: Iterable[int], tasks: Iterable[int], live: LiveOf = ...) -> Locked:
        """These runs and those of the tasks, then the tasks, each in ascending order of id. Only once, and first.

        Of the runs that are live, what is READY or LEASED too: claims do not lock runs, and change what a task reads.
        """
        ...

    async def claimable(self, lanes: Sequence[int], limit: int) -> list[Task]:
        """READY tasks in queue order, locked; those that another transaction is claiming are passed by."""
        ...

    async def key_heads(self, lanes: Sequence[int], after: int, most: int) -> list[Head]:
        """The next so many gates with READY tasks in each of these lanes, behind one. Nothing is locked."""
        ...

    async def open_gates(self, gates: Sequence[tuple[int, int]]) -> list[Gate | Passed]:
        """Those of these (lane, gate) with READY tasks, locked; those locked elsewhere are passed by."""
        ...

    async def lock_gates(self, ids: Sequence[int]) -> list[Gate]:
        """These gates, locked in ascending order of id, after the tasks. Waits for others."""
        ...

    async def admitted(self, lanes: Sequence[Admitted], taken: Sequence[int], limit: int) -> list[Task]:
        """As `claimable`, besides the tasks taken already, and no more of a gate than it has room for."""
        ...

    async def put_starts(self, gates: Sequence[Gate]) -> None:
        """When the next tasks of these gates may start."""
        ...

    async def write(self, fold: Fold) -> None: ...
    async def write_items(self, fold: Fold) -> None:
        """Put down the items decided so far, so that they can be read back within the transaction."""
        ...

    async def put_past(self, plan: Plan) -> None:
        """Delete what a manual retry takes away; what it replaces is kept, out of the way of everything else."""
        ...

    async def take_over(self, items: Sequence[Row], attempts: Sequence[Row], edits: Sequence[Row]) -> None:
        """Copy what a fork takes over: items by their task's place, histories by task; then change some items."""
        ...

    async def put_sessions(self, changes: Sequence[SessionPut]) -> None:
        """Write sessions, in ascending order of id. The last rows that a transaction may lock."""
        ...

    async def put_progress(self, rows: Sequence[ProgressRow]) -> None: ...
    async def insert_logs(self, rows: Sequence[LogRow]) -> None: ...
    async def insert_audit(self, rows: Sequence[AuditRow]) -> None: ...
    async def execute(self, query: str, *parameters: Any) -> list[Row]: ...
    async def put(self, name: str, bound: Sequence[Row]) -> None:
        """Write rows by a named statement; nothing if there are none."""
        ...


class GuardFailed(Exception):
    """A guarded write found another state than was believed: the transaction is undone, and may be decided anew."""


class Interrupted(GuardFailed):
    """The connection was lost in mid-transaction, which is undone."""


class CommitUnknown(Exception):
    """The connection was lost during the commit: the transaction may have happened, or not."""


class Hints(Protocol):
    """A way to whisper to the other servers on one database. Nothing depends on a hint being heard.

    `deaf`: nothing would be heard just now.
    """

    @property
    def deaf(self) -> bool: ...
    async def listen(self, heard: Callable[[str | None], None]) -> None:
        """Hear from now on; None tells that something may have been missed."""
        ...

    async def say(self, text: str) -> None: ...
    async def close(self) -> None: ...


class Store(Protocol):
    """`shared`: other servers may work on the same database, so nothing of it that changes is believed unread."""

    @property
    def shared(self) -> bool: ...
    async def transact(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        """Run in one transaction, committed when this returns.

        Unavailable: nothing was written. GuardFailed: nor here, but it may be tried anew. CommitUnknown: who knows.
        """
        ...

    async def read(self, work: Callable[[Reader], Awaitable[T]]) -> T: ...
    async def peek(self, work: Callable[[Reader], Awaitable[T]]) -> T:
        """Read a few rows by key, not of one snapshot. An embedded store does it on the spot."""
        ...

    async def take_ids(self, sequence: str, count: int) -> range:
        """Reserve ids, durably, in a transaction of its own."""
        ...

    async def give_back_ids(self, sequence: str, rest: range) -> None: ...
    async def time(self) -> Micros:
        """The database's own clock."""
        ...

    async def snapshot(self, path: Path) -> None:
        """Write the whole database, as it is at one moment, into a new file. Conflict if this store has other means."""
        ...

    def hints(self) -> Hints | None:
        """The way to other servers, if there may be any."""
        ...

    async def close(self) -> None: ...


class Clock(Protocol):
    def now(self) -> Micros:
        """UTC microseconds that never run backwards."""
        ...


@runtime_checkable
class Steered(Clock, Protocol):
    """A clock that several servers share. `ahead`: of the database's, since that jumped and leases did not."""

    ahead: Micros

    def join(self, there: Micros, ahead: Micros) -> None:
        """Begin at the database's time and so much more."""
        ...

    def follow(self, there: Micros) -> None:
        """Keep up with the database's time: drift is made good bit by bit, a jump is not followed."""
        ...

    def agree(self, ahead: Micros) -> None:
        """Be as far ahead of the database as another server."""
        ...


class Blob(Protocol):
    """Stored bytes: their key, how many they are, and their SHA-256 in hex."""

    @property
    def key(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def sha256(self) -> str: ...


class Blobs(Protocol):
    """Large bytes by key; durable when `write` returns."""

    async def write(self, chunks: AsyncIterator[bytes]) -> Blob: ...
    def read(self, key: str, start: int, stop: int) -> AsyncIterator[bytes]: ...
    async def size(self, key: str) -> int: ...
    def old(self, age_s: float) -> AsyncIterator[list[tuple[str, int]]]:
        """Keys and sizes of what was written so long ago, in parts."""
        ...

    async def sweep(self, keys: Sequence[str], age_s: float) -> list[str]:
        """Delete what was written so long ago, and not again meanwhile; gives which."""
        ...

    def scratch(self) -> AbstractAsyncContextManager[Path]:
        """A place for a file that is gone afterwards."""
        ...

    async def room(self) -> tuple[int, int]:
        """Bytes of the disk, and how many are free."""
        ...


class Sealed(NamedTuple):
    """A ciphertext, and the id of the key that it lies under."""

    key: str
    body: bytes


class Shut(Exception):
    """A ciphertext cannot be opened: its key is not here, or it is not what was written for this name."""


class Keyring(Protocol):
    """Encrypts under one key, decrypts under several. `ids`: of its keys, the one that writes first; maybe none."""

    @property
    def ids(self) -> tuple[str, ...]: ...
    def seal(self, value: bytes, bound: bytes) -> Sealed:
        """Encrypt, bound to a context. Conflict if there is no key."""
        ...

    def open(self, sealed: Sealed, bound: bytes) -> bytes:
        """Decrypt; Shut if that cannot be."""
        ...


class Dice(Protocol):
    def random(self) -> float: ...
    def token_bytes(self, count: int) -> bytes: ...
