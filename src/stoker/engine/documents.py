"""Documents: records that no rule of the engine reads, as a project of HEAT or the text that a graph was sent as.

A document has a sort, an integer id in it, from 1 in the order of creation, and if it likes a name that no other of its
sort has, and a parent that it is listed by. All changes in one namespace stand in one line, behind a row of their own:
whoever reads a document in order to change it, or to see that nothing refers to it, reads what still holds when it
writes. In a change, await nothing but the change.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import msgspec

from stoker.core.duration import Micros
from stoker.core.names import fault
from stoker.engine import single
from stoker.engine.acting import Note
from stoker.engine.namespaces import Namespaces
from stoker.engine.ports import Clock, Reader, Row, Store, Tx
from stoker.errors import Conflict, Invalid, NotFound

if TYPE_CHECKING:
    from stoker.engine.graph_secrets import GraphSecrets
    from stoker.engine.schedule_sets import ScheduleSet

T = TypeVar("T")


class Document(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    sort: str
    name: str | None
    parent: str | None
    body: bytes
    created_at: Micros
    updated_at: Micros


class Look:
    """Documents of one namespace at one moment."""

    def __init__(self, reader: Reader, namespace: int) -> None:
        self._reader = reader
        self._namespace = namespace

    async def get(self, sort: str, id_: int) -> Document | None:
        return _one(await self._reader.rows("document", self._namespace, sort, id_))

    async def named(self, sort: str, name: str) -> Document | None:
        return _one(await self._reader.rows("document_named", self._namespace, sort, name))

    async def list(self, sort: str, parent: str | None = None) -> list[Document]:
        """All of a sort, or those with this parent, in the order of creation."""
        if parent is None:
            rows = await self._reader.rows("documents", self._namespace, sort)
        else:
            rows = await self._reader.rows("documents_of", self._namespace, sort, parent)
        return [_document(row) for row in rows]


class Changes(Look):
    """Changes in one transaction, all or nothing. Nobody else changes documents of this namespace meanwhile."""

    def __init__(self, tx: Tx, namespace: int, now: Micros) -> None:
        super().__init__(tx, namespace)
        self._tx = tx
        self._now = now
        self.subjects: list[str] = []

    async def begin(self) -> Changes:
        """Wait for those who are changing documents here."""
        await self._tx.execute("take_ids", f"documents/{self._namespace}", 0)
        return self

    async def add(self, sort: str, body: bytes, *, name: str | None = None, parent: str | None = None) -> Document:
        """A new document. Conflict if its name is taken."""
        await self._check_name(sort, name, 0)
        (id_,) = await self.ids(sort, 1)
        await self._tx.execute("insert_document", self._namespace, sort, id_, name, parent, body, self._now)
        self._changed(sort, id_)
        return Document(
            id=id_,
            sort=sort,
            name=name,
            parent=parent,
            body=body,
            created_at=self._now,
            updated_at=self._now,
        )

    async def ids(self, sort: str, count: int) -> range:
        """Ids of a sort that no document gets: of what lies inside of one, and is to have an id of its own."""
        ((end,),) = await self._tx.execute("take_ids", f"documents/{self._namespace}/{sort}", count)
        return range(end - count, end)

    async def put(self, document: Document) -> Document:
        """Let a document have this body, name and parent. NotFound if it is gone, Conflict if the name is taken."""
        await self._check_name(document.sort, document.name, document.id)
        given = (document.name, document.parent, document.body, self._now)
        if not await self._tx.execute("update_document", *given, self._namespace, document.sort, document.id):
            raise NotFound(f"there is no {document.sort} {document.id}.", code="no_document")
        self._changed(document.sort, document.id)
        return msgspec.structs.replace(document, updated_at=self._now)

    async def delete(self, sort: str, id_: int) -> bool:
        """Whether there was one."""
        if not await self._tx.execute("delete_document", self._namespace, sort, id_):
            return False
        self._changed(sort, id_)
        return True

    async def put_secrets(self, secrets: GraphSecrets) -> None:
        """Let a graph have these secrets of its own, and no others; see `Secrets.sealed`."""
        await secrets.put(self._tx, self._namespace, self._now)
        self.subjects.append(f"secrets:{secrets.graph}")

    async def put_schedules(self, schedules: ScheduleSet) -> None:
        """Let there be these schedules of the set, and no others; see `Schedules.changed`."""
        await schedules.put(self._tx, self._namespace, self._now)
        self.subjects += [f"schedule:{name}" for name in sorted(schedules.specs)]

    async def _check_name(self, sort: str, name: str | None, id_: int) -> None:
        if name is None:
            return
        if wrong := fault(name):
            raise Invalid(wrong, code="bad_name", place="name")
        found = await self.named(sort, name)
        if found is not None and found.id != id_:
            raise Conflict(
                f"there is a {sort} {name!r} already.", code="name_taken", place="name", remedy="Choose another name."
            )

    def _changed(self, sort: str, id_: int) -> None:
        self.subjects.append(f"{sort}:{id_}")


Beside = Callable[[Changes], Awaitable[None]]
"""What is changed in the transaction that does something else."""

Along = Callable[[Changes, int], Awaitable[None]]
"""What is changed in the transaction that publishes a graph; it is told the version."""


class Documents:
    """Finds documents, and changes them."""

    def __init__(self, store: Store, namespaces: Namespaces, clock: Clock) -> None:
        self._store = store
        self._namespaces = namespaces
        self._clock = clock

    async def look(self, namespace: str, work: Callable[[Look], Awaitable[T]]) -> T:
        """Read several that belong together. A namespace that is not there yet has none."""
        number = await self._number_of(namespace)
        return await self._store.read(lambda reader: work(Look(reader, number)))

    async def get(self, namespace: str, sort: str, id_: int) -> Document | None:
        number = await self._number_of(namespace)
        return await self._store.peek(lambda reader: Look(reader, number).get(sort, id_))

    async def named(self, namespace: str, sort: str, name: str) -> Document | None:
        number = await self._number_of(namespace)
        return await self._store.peek(lambda reader: Look(reader, number).named(sort, name))

    async def list(self, namespace: str, sort: str, parent: str | None = None) -> list[Document]:
        return await self.look(namespace, lambda look: look.list(sort, parent))

    async def change(self, namespace: str, work: Callable[[Changes], Awaitable[T]]) -> T:
        """Read and change in one transaction, which is undone if `work` raises. It may be called more than once."""
        number = await self._namespaces.made(namespace)
        now = self._clock.now()

        async def change(tx: Tx) -> tuple[T, Changes]:
            changes = await Changes(tx, number, now).begin()
            return await work(changes), changes

        answer, _ = await single.transact(self._store, change, lambda both: Note(both[1].subjects))
        return answer

    async def _number_of(self, namespace: str) -> int:
        """0, which is none's, of a namespace that is not there yet."""
        try:
            return await self._namespaces.existing(namespace)
        except NotFound:
            return 0


def _one(rows: list[Row]) -> Document | None:
    return _document(rows[0]) if rows else None


def _document(row: Row) -> Document:
    id_, sort, name, parent, body, created, updated = row
    return Document(id=id_, sort=sort, name=name, parent=parent, body=body, created_at=created, updated_at=updated)
