"""Documents as records of their nouns: some read at one moment, or read and changed in one transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from stoker.api.call import Call
from stoker.api.dialects.heat import fields
from stoker.api.dialects.heat.noun import Kept, Noun
from stoker.engine.catalog import when
from stoker.engine.documents import Changes, Document, Look
from stoker.errors import Conflict, NotFound

if TYPE_CHECKING:
    from stoker.engine.engine import Engine

R = TypeVar("R")
T = TypeVar("T")


class Desk:
    """What of a namespace is kept, at one moment."""

    def __init__(self, documents: Look) -> None:
        self._documents = documents

    async def all(self, noun: Noun[R], parent: str | None = None) -> list[Kept[R]]:
        """All, or those of one parent, in the order of creation."""
        return [_kept(noun, each) for each in await self._documents.list(noun.sort, parent)]

    async def find(self, noun: Noun[R], id_: int) -> Kept[R] | None:
        found = await self._documents.get(noun.sort, id_)
        return None if found is None else _kept(noun, found)

    async def named(self, noun: Noun[R], name: str) -> Kept[R] | None:
        found = await self._documents.named(noun.sort, name)
        return None if found is None else _kept(noun, found)

    async def one(self, noun: Noun[R], id_: int) -> Kept[R]:
        """NotFound if there is none."""
        found = await self.find(noun, id_)
        if found is None:
            raise _unknown(noun, id_)
        return found


class Pen(Desk):
    """The same while it is changed: what is read holds when it is written, and all is written or nothing."""

    def __init__(self, documents: Changes) -> None:
        super().__init__(documents)
        self._changes = documents

    async def add(
        self, noun: Noun[R], name: str | None, record: R, *, unnamed: str = "", parent: str | None = None
    ) -> Kept[R]:
        """Keep a new one. `unnamed`: what it is called if it has no name, made of its id. Conflict for a taken name."""
        await self._check_free(noun, name, 0)
        made = await self._changes.add(noun.sort, _body(record), name=name or None, parent=parent)
        if unnamed and not name:
            return await self.put(noun, made.id, unnamed.format(made.id), record)
        return _kept(noun, made)

    async def put(self, noun: Noun[R], id_: int, name: str | None, record: R) -> Kept[R]:
        """Let it have this name and record. NotFound, or Conflict for a taken name."""
        before = await self._changes.get(noun.sort, id_)
        if before is None:
            raise _unknown(noun, id_)
        await self._check_free(noun, name, id_)
        after = msgspec.structs.replace(before, name=name or None, body=_body(record))
        return _kept(noun, await self._changes.put(after))

    async def remove(self, noun: Noun[Any], id_: int) -> None:
        """NotFound if there is none."""
        if not await self._changes.delete(noun.sort, id_):
            raise _unknown(noun, id_)

    async def numbers(self, sort: str, count: int) -> Callable[[], int]:
        """New ids, one a call."""
        ids: Iterator[int] = iter(await self._changes.ids(sort, count))
        return lambda: next(ids)

    async def _check_free(self, noun: Noun[Any], name: str | None, id_: int) -> None:
        if name and (other := await self.named(noun, name)) and other.id != id_:
            raise Conflict(
                f"there is a {noun.title} {name!r} already, with the id {other.id}",
                place="body.name",
                remedy="Choose another name, or change that one.",
            )


async def look(call: Call, work: Callable[[Desk], Awaitable[T]]) -> T:
    return await call.engine.documents.look(call.namespace, lambda documents: work(Desk(documents)))


async def change(call: Call, work: Callable[[Pen], Awaitable[T]]) -> T:
    return await keep(call.engine, call.namespace, work)


async def keep(engine: Engine, namespace: str, work: Callable[[Pen], Awaitable[T]]) -> T:
    return await engine.documents.change(namespace, lambda documents: work(Pen(documents)))


async def all_of(call: Call, noun: Noun[R]) -> list[Kept[R]]:
    return await look(call, lambda desk: desk.all(noun))


async def one_of(call: Call, noun: Noun[R]) -> Kept[R]:
    """The one that the path names. NotFound if there is none."""
    return await look(call, lambda desk: desk.one(noun, int(call.path["id"])))


def _kept(noun: Noun[R], document: Document) -> Kept[R]:
    return Kept(
        id=document.id,
        name=document.name or "",
        record=msgspec.json.decode(document.body, type=noun.record),
        created_at=fields.shown(when(document.created_at)),
        updated_at=fields.shown(when(document.updated_at)),
    )


def _body(record: Any) -> bytes:
    return msgspec.json.encode(record)


def _unknown(noun: Noun[Any], id_: int) -> NotFound:
    return NotFound(f"there is no {noun.title} {id_}", place="path.id")
