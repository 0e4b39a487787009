"""A run that comes as an archive: verified as a whole, then put down as a run that has ended and is only looked at.

Its rows are written slice by slice under the namespace 0, where nobody finds them, and shown in one last transaction.
Whoever dies before that leaves something that is deleted as any run that is (`erasing`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

import msgspec

from stoker.core.archive import MOST_BYTES, RUNS, Row
from stoker.core.duration import SECOND, Micros
from stoker.core.handles import renamed
from stoker.core.model import Run, Task
from stoker.core.protocol import RunnerInfo
from stoker.core.spread import packed, unpacked
from stoker.core.views import RunRef
from stoker.engine import single
from stoker.engine.acting import Note
from stoker.engine.namespaces import Namespaces
from stoker.engine.ports import Blobs, Clock, Dice, Store, Tx
from stoker.engine.unsealing import Contents, Place, unsealed
from stoker.errors import Conflict, TooLarge, Unavailable

PATIENCE: Micros = 120 * SECOND  # how long an import may say nothing
SLICE = 500
PIECE = 1024 * 1024
NOTHING_HERE = {"lane": 0, "gate": None, "due_at": None, "deadline": None, "expires_at": None}


async def check_own(tx: Tx, run: Run) -> None:
    """Refuse to run on what was brought here."""
    for origin, *_ in await tx.rows("imported", run.root or run.id):
        raise Conflict(
            f"run {run.id} was imported ({origin}), and is only looked at.",
            code="imported",
            place=f"runs/{run.id}",
            remedy="Start a new run of its graph.",
        )


class Names(NamedTuple):
    """What everything is called here, by what it was called there."""

    runs: dict[int, int]
    tasks: dict[int, int]  # and whatever draws of their ids
    spreads: dict[int, int]
    outputs: dict[int, int]
    artifacts: dict[int, int]
    sessions: dict[int, int]
    versions: dict[int, int]
    keys: dict[str, str]  # of stored bytes
    gone: int  # an artifact that never was: for handles of what was lost before

    def artifact(self, id_: int) -> int:
        return self.artifacts.get(id_, self.gone)


class Importing:
    """Brings archives in."""

    def __init__(self, store: Store, namespaces: Namespaces, blobs: Blobs, clock: Clock, dice: Dice) -> None:
        self._store = store
        self._namespaces = namespaces
        self._blobs = blobs
        self._clock = clock
        self._dice = dice

    async def bring(self, namespace: str, chunks: AsyncIterator[bytes]) -> RunRef:
        """Make a run of an archive. Invalid, and nothing was done, if there is anything wrong with it."""
        number = await self._namespaces.made(namespace)
        async with self._blobs.scratch() as path:
            size = 0
            with await asyncio.to_thread(path.open, "wb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > MOST_BYTES:
                        raise TooLarge(f"an archive has at most {MOST_BYTES} bytes.", place="body")
                    await asyncio.to_thread(file.write, chunk)
            contents = await asyncio.to_thread(unsealed, path)
            run = await self._written(number, contents)
        return RunRef(id=run)

    async def _written(self, namespace: int, contents: Contents) -> int:
        names = await self._named(namespace, contents)
        root = names.runs[contents.head.run]
        await self._begin(namespace, root, contents)
        await self._rows(root, namespace, contents, names)
        await self._show(namespace, root, list(names.runs.values()))
        return root

    # --- names ---

    async def _named(self, namespace: int, contents: Contents) -> Names:
        artifacts = await self._drawn("artifact", [row["id"] for row in contents.artifacts], spare=1)
        known = {row["id"]: artifacts[row["id"]] for row in contents.artifacts}
        return Names(
            runs=await self._drawn("run", contents.runs),
            tasks=await self._drawn("task", contents.tasks),
            spreads=await self._drawn("task", contents.spreads),
            outputs=await self._drawn("task", contents.outputs),
            artifacts=known,
            sessions=await self._drawn("session", [row["id"] for row in contents.sessions]),
            versions=await self._versions(namespace, contents),
            keys=await self._stored(contents, known, artifacts[-1]),
            gone=artifacts[-1],
        )

    async def _drawn(self, sequence: str, ids: Sequence[int], spare: int = 0) -> dict[int, int]:
        wanted = [*ids, *range(-spare, 0)]
        taken = await self._store.take_ids(sequence, len(wanted)) if wanted else range(0)
        return dict(zip(wanted, taken, strict=True))

    async def _stored(self, contents: Contents, artifacts: dict[int, int], gone: int) -> dict[str, str]:
        """Store the bytes; values of tasks with the handles that hold here."""
        content = {row["sha256"] for row in contents.artifacts}
        values = {row["blob"] for table in ("item", "past_item") for rows in contents.rows(table) for row in rows}
        keys = {}
        for key, place in contents.bytes.items():
            if key in values:
                body = b"".join([piece async for piece in _pieces(contents, place)])
                body = renamed(body, lambda id_: artifacts.get(id_, gone))
                keys[key] = (await self._blobs.write(_once(body))).key
            if key in content:
                await self._blobs.write(_pieces(contents, place))
        return keys

    async def _versions(self, namespace: int, contents: Contents) -> dict[int, int]:
        return {old: await self._version(namespace, row) for old, row in contents.versions.items()}

    async def _version(self, namespace: int, row: Row) -> int:
        """The same version, if the namespace has it; else a copy that only runs which were brought here name."""
        now = self._clock.now()

        async def put(tx: Tx) -> int:
            for (found,) in await tx.rows("same_version", row["graph"], row["hash"], [namespace, -namespace]):
                return int(found)
            ((number,),) = await tx.rows("private_number", -namespace, row["graph"], row["number"])
            values = (row["graph"], number, row["hash"], row["spec"], row["kinds"], now)
            return int((await tx.execute("insert_version", -namespace, *values))[0][0])

        return await single.transact(self._store, put)

    # --- rows ---

    async def _begin(self, namespace: int, root: int, contents: Contents) -> None:
        now = self._clock.now()
        head = contents.head
        origin = f"run {head.run} of the namespace {head.namespace!r} elsewhere"

        async def begin(tx: Tx) -> None:
            await tx.execute("insert_imported", root, namespace, origin, now, now + PATIENCE)

        await single.transact(self._store, begin)

    async def _rows(self, root: int, namespace: int, contents: Contents, names: Names) -> None:
        """All rows, a slice a transaction, the run's own first: what is left of a broken import hangs on it."""
        now = self._clock.now()
        for at in range(0, len(contents.artifacts), SLICE):
            rows = [_artifact(row, names, namespace, now) for row in contents.artifacts[at : at + SLICE]]
            await self._put(root, "insert_artifact", rows)
        for table in ("run", *(table for table in RUNS if table != "run")):
            parts = contents.rows(table)
            while (part := await asyncio.to_thread(next, parts, None)) is not None:
                rows = [_row(table, row, names, namespace) for row in part]
                for at in range(0, len(rows), SLICE):
                    await self._put(root, f"import_{table}", rows[at : at + SLICE])
        await self._sessions(root, namespace, contents, names)

    async def _sessions(self, root: int, namespace: int, contents: Contents, names: Names) -> None:
        """Who ran the tasks: sessions that have ended, with nothing but a name."""
        now = self._clock.now()
        rows = [
            (
                names.sessions[row["id"]],
                namespace,
                self._dice.token_bytes(32),
                msgspec.json.encode(RunnerInfo(name=row["name"], kinds=[])).decode(),
                now,
            )
            for row in contents.sessions
        ]
        for at in range(0, len(rows), SLICE):
            await self._put(root, "import_session", rows[at : at + SLICE])

    async def _put(self, root: int, query: str, rows: Sequence[tuple[Any, ...]]) -> None:
        now = self._clock.now()

        async def put(tx: Tx) -> None:
            await _go_on(tx, root, now)
            await tx.put(query, rows)

        await single.transact(self._store, put)

    async def _show(self, namespace: int, root: int, runs: list[int]) -> None:
        """Let it be found: child runs first, the run itself in the transaction that ends the import."""
        children = [run for run in runs if run != root]
        for at in range(0, len(children), SLICE):
            await self._show_children(namespace, root, children[at : at + SLICE])
        now = self._clock.now()

        async def show(tx: Tx) -> None:
            await _go_on(tx, root, now)
            await tx.execute("end_import", root, now)
            await tx.execute("show_imported", namespace, [root])
            await tx.execute("shift_total", 1, [root])

        await single.transact(self._store, show, lambda _: Note([f"run:{root}"]))

    async def _show_children(self, namespace: int, root: int, children: list[int]) -> None:
        now = self._clock.now()

        async def show(tx: Tx) -> None:
            await _go_on(tx, root, now)
            await tx.execute("show_imported", namespace, children)

        await single.transact(self._store, show)


async def _go_on(tx: Tx, root: int, now: Micros) -> None:
    """Under the lock of the tree, which whoever deletes what was given up takes too."""
    await tx.lock([root], [])
    if not await tx.execute("go_on_importing", now + PATIENCE, root, now):
        raise _overtaken()


def _overtaken() -> Unavailable:
    return Unavailable(
        f"the import took a pause of more than {PATIENCE // SECOND} s, and was given up meanwhile.",
        code="overtaken",
        remedy="Import it again.",
    )


# --- one row ---


def _artifact(row: Row, names: Names, namespace: int, now: Micros) -> tuple[Any, ...]:
    """As old as its being here, so that it is not collected before its run is."""
    id_ = names.artifacts[row["id"]]
    return (id_, namespace, row["name"], row["media_type"], row["size"], row["sha256"], row["sha256"], now)


def _row(table: str, row: Row, names: Names, namespace: int) -> tuple[Any, ...]:
    changed = row | {name: value for name, value in NOTHING_HERE.items() if name in row}
    if "run" in row:
        changed["run"] = names.runs[row["run"]]
    if row.get("session") is not None:
        changed["session"] = names.sessions.get(row["session"])
    if row.get("blob") is not None:
        changed["blob"] = names.keys[row["blob"]]
    match table:
        case "run":
            changed |= {
                "id": names.runs[row["id"]],
                "version": names.versions[row["version"]],
                "root": None if row["root"] is None else names.runs[row["root"]],
                "parent": _maybe(names.tasks, row["parent"]),
                "open": 0,
            }
        case "task":
            changed |= {
                "id": names.tasks[row["id"]],
                "parent": _maybe(names.tasks, row["parent"]),
                "withheld": 0,
                "element": _element(row["element"], names),
            }
        case "past_task":
            changed |= {"id": names.tasks[row["id"]], "body": _past(row, names)}
        case "spread":
            changed |= {
                "id": names.spreads[row["id"]],
                "parent": _maybe(names.tasks, row["parent"]),
                "places": packed(
                    [(place, _element(element, names)) for place, element in unpacked(row["places"])], whole=True
                ),
            }
        case "output":
            changed |= {"id": names.outputs[row["id"]], "task": _maybe(names.tasks, row["task"])}
        case "attempt" | "progress" | "log":
            changed["task"] = names.tasks[row["task"]]
        case "live_node":
            changed["task"] = _maybe(names.tasks, row["task"])
        case "item" | "past_item" | "run_input" | "run_store":
            if row["body"] is not None:
                changed["body"] = renamed(row["body"], names.artifact)
                if "size" in row:
                    changed["size"] = len(changed["body"])
    values = tuple(changed[name] for name in row if not (table == "log" and name == "id"))
    return (*values, namespace) if table == "run_tag" else values


def _past(row: Row, names: Names) -> bytes:
    task = msgspec.msgpack.decode(row["body"], type=Task)
    return msgspec.msgpack.encode(
        msgspec.structs.replace(
            task,
            id=names.tasks[row["id"]],
            run=names.runs[row["run"]],
            node=row["node"],
            branch=row["branch"],
            generation=row["generation"],
            parent=_maybe(names.tasks, task.parent),
            session=_maybe(names.sessions, task.session),
            element=_element(task.element, names),
            **NOTHING_HERE,
        )
    )


def _element(element: bytes | None, names: Names) -> bytes | None:
    return None if element is None else renamed(element, names.artifact)


def _maybe(names: dict[int, int], id_: int | None) -> int | None:
    return None if id_ is None else names.get(id_)


# --- bytes ---


async def _pieces(contents: Contents, place: Place) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(contents.path.open, "rb") as file:
        await asyncio.to_thread(file.seek, place.at)
        left = place.size
        while left:
            piece = await asyncio.to_thread(file.read, min(left, PIECE))
            left -= len(piece)
            yield piece


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
