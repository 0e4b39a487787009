"""Puts together the inputs of tasks, and results of runs, from immutable items; nothing gathered is stored twice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Protocol

from stoker.core.compiled import Compiled
from stoker.core.graph import Binding, Ref
from stoker.core.live import Bound
from stoker.core.model import ItemKey, NewItem, StoredItem, Task
from stoker.core.protocol import INLINE_INPUT
from stoker.core.template import Below, Found, LeftOut, Need, Place, StoreOf, among, inputs, needs, render
from stoker.core.values import NULL, as_object, encode, fields
from stoker.engine.ports import Blobs, Store

PAGE = 64  # items of a gathered list in memory at once, each up to 1 MiB


class Sources:
    """What has been read for a batch. `blobs`: large values fetched beforehand, by key."""

    def __init__(self, reader: ItemReader, blobs: dict[str, bytes] | None = None) -> None:
        self._reader = reader
        self._blobs = blobs or {}
        self._items: dict[ItemKey, bytes] = {}
        self._below: dict[Below, list[bytes]] = {}
        self._keys: dict[Below, list[ItemKey]] = {}
        self._run_inputs: dict[int, dict[str, bytes]] = {}
        self._stores: dict[StoreOf, dict[str, bytes]] = {}
        self._large: set[Need] = set()
        self.missing_blobs: set[str] = set()

    @property
    def found(self) -> Found:
        return Found(self._items, self._below, self._run_inputs, self._stores, self._keys)

    def large(self, need: Need) -> bool:
        """Whether this was left unread because of its size."""
        return need in self._large

    def show(self, inputs: Mapping[int, bytes], stores: Mapping[int, bytes]) -> None:
        """Inputs and stores of runs that the running transaction is about to make."""
        for run, body in inputs.items():
            self._run_inputs[run] = fields(body)
        for run, body in stores.items():
            self._stores[StoreOf(run)] = fields(body)

    def show_items(self, items: Iterable[NewItem]) -> None:
        """Items that the running transaction is about to write, or has just written; large ones are known as such."""
        for item in items:
            if item.blob is None:
                self._items[item.key] = item.body
            else:
                self._large.add(item.key)

    async def load(self, wanted: Iterable[Need], *, limit: int | None) -> None:
        """Read what is not known yet. What is above `limit` bytes stays unread and is known as large."""
        new = set(wanted)
        known = self._items.keys() | self._large
        await self._load_items([need for need in new if isinstance(need, ItemKey) and need not in known])
        for need in new:
            if isinstance(need, Below) and need not in self._below:
                await self._load_below(need, limit)
        runs = [need for need in new if isinstance(need, int) and need not in self._run_inputs]
        if runs:
            self.show(await self._reader.run_inputs(runs), {})
        stores = [need.run for need in new if isinstance(need, StoreOf) and need not in self._stores]
        if stores:
            self.show({}, await self._reader.run_stores(stores))

    async def _load_items(self, keys: list[ItemKey]) -> None:
        if not keys:
            return
        for item in await self._reader.items(keys):
            body = self._body(item.body, item.blob)
            if body is None:
                self._large.add(item.key)
            else:
                self._items[item.key] = body

    async def _load_below(self, need: Below, limit: int | None) -> None:
        if limit is not None and (await self._reader.size_below(*need))[0] > limit:
            self._large.add(need)
            return
        items = await self._reader.items_below(*need)
        bodies = [self._body(item.body, item.blob) for item in items]
        if any(body is None for body in bodies):
            self._large.add(need)
        else:
            self._below[need] = [body for body in bodies if body is not None]
            self._keys[need] = [item.key for item in items]

    def _body(self, body: bytes | None, blob: str | None) -> bytes | None:
        if blob is None:
            return body if body is not None else NULL
        if blob not in self._blobs:
            self.missing_blobs.add(blob)
        return self._blobs.get(blob)


def task_place(task: Task, bound: Bound | None = None) -> Place:
    """`bound`: the outputs that a task of a live run reads."""
    return Place(task.run, task.node, task.branch, task.element, bound)


async def whole(sources: Sources, wanted: Iterable[Need]) -> None:
    """Read all of this within a transaction, of any size. MissingBlobs if some must be fetched first."""
    await sources.load(wanted, limit=None)
    if sources.missing_blobs:
        raise MissingBlobs(sources.missing_blobs)


class MissingBlobs(Exception):
    """Large values are needed inside the transaction; fetch them and try again."""

    def __init__(self, keys: set[str]) -> None:
        super().__init__(f"{len(keys)} large values")
        self.keys = keys


def task_needs(graph: Compiled, task: Task, bound: Bound | None = None) -> list[Need]:
    """Everything that the inputs of a task are made of."""
    bind = graph.nodes[task.node].spec.bind
    if not bind:
        return []
    place = task_place(task, bound)
    return [need for binding in bind.values() for need in needs(graph, place, binding)]


def task_input(graph: Compiled, task: Task, sources: Sources, bound: Bound | None = None) -> bytes | None:
    """The inputs as one JSON object; None if they are too large to travel with the claim. BadPath: not bindable."""
    bind = graph.nodes[task.node].spec.bind
    if not bind:
        return b"{}"
    if any(sources.large(need) for need in task_needs(graph, task, bound)):
        return None
    place = task_place(task, bound)
    body = as_object(inputs(graph, place, bind, sources.found))
    return body if len(body) <= INLINE_INPUT else None


async def fetch(blobs: Blobs, key: str) -> bytes:
    """A large value, whole."""
    return b"".join([chunk async for chunk in blobs.read(key, 0, await blobs.size(key))])


class ItemReader(Protocol):
    """The few questions that putting inputs together asks."""

    async def items(self, keys: Iterable[ItemKey]) -> list[StoredItem]: ...
    async def items_below(self, run: int, node: int, prefix: bytes) -> list[StoredItem]: ...
    async def size_below(self, run: int, node: int, prefix: bytes) -> tuple[int, int]: ...
    async def run_inputs(self, runs: Iterable[int]) -> dict[int, bytes]: ...
    async def run_stores(self, runs: Iterable[int]) -> dict[int, bytes]: ...


class Reading:
    """An ItemReader outside of transactions; items are immutable, so each question may look for itself."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def items(self, keys: Iterable[ItemKey]) -> list[StoredItem]:
        return await self._store.peek(lambda reader: reader.items(keys))

    async def items_below(self, run: int, node: int, prefix: bytes) -> list[StoredItem]:
        return await self._store.read(lambda reader: reader.items_below(run, node, prefix))

    async def pages_below(self, run: int, node: int, prefix: bytes) -> AsyncIterator[list[StoredItem]]:
        """The same as `items_below`, never more than PAGE of them at once."""
        seen = ItemKey(run, node, prefix, -1)
        while page := await self._after(seen, prefix):
            yield page
            seen = page[-1].key

    async def _after(self, seen: ItemKey, prefix: bytes) -> list[StoredItem]:
        return await self._store.read(lambda reader: reader.items_after(seen, prefix, PAGE))

    async def size_below(self, run: int, node: int, prefix: bytes) -> tuple[int, int]:
        return await self._store.read(lambda reader: reader.size_below(run, node, prefix))

    async def run_inputs(self, runs: Iterable[int]) -> dict[int, bytes]:
        return await self._store.read(lambda reader: reader.run_inputs(runs))

    async def run_stores(self, runs: Iterable[int]) -> dict[int, bytes]:
        return await self._store.read(lambda reader: reader.run_stores(runs))


class Streaming:
    """Streams inputs of any size: gathered lists item by item, everything else whole."""

    def __init__(self, reader: Reading, blobs: Blobs, graph: Compiled) -> None:
        self._reader = reader
        self._blobs = blobs
        self._graph = graph

    async def object(self, place: Place, bindings: dict[str, Binding]) -> AsyncIterator[bytes]:
        """One JSON object of these bindings."""
        if not bindings:
            yield as_object({})
            return
        before = b"{"
        for name, binding in bindings.items():
            try:
                async for chunk in self.value(place, binding):
                    yield before + encode(name) + b":" + chunk if before else chunk
                    before = b""
            except LeftOut:
                continue
            before = b","
        yield b"{}" if before == b"{" else b"}"

    async def value(self, place: Place, binding: Binding) -> AsyncIterator[bytes]:
        """The JSON of one binding."""
        if isinstance(binding, Ref) and binding.many:
            async for chunk in self._gathered(place, binding):
                yield chunk
        else:
            yield await self._whole(place, binding)

    async def _gathered(self, place: Place, ref: Ref) -> AsyncIterator[bytes]:
        (need,) = needs(self._graph, place, ref)
        assert isinstance(need, Below)
        if ref.lone and (await self._reader.size_below(*need))[1] == 1:
            yield await self._whole(place, ref)
            return
        first = True
        async for page in self._reader.pages_below(*need):
            for item in page:
                body = item.body if item.blob is None else await fetch(self._blobs, item.blob)
                yield (b"[" if first else b",") + among(ref, body or NULL)
                first = False
        yield b"[]" if first else b"]"

    async def _whole(self, place: Place, binding: Binding) -> bytes:
        fetched: dict[str, bytes] = {}
        while True:
            sources = Sources(self._reader, fetched)
            await sources.load(needs(self._graph, place, binding), limit=None)
            if not sources.missing_blobs:
                return render(self._graph, place, binding, sources.found)
            for key in sources.missing_blobs:
                fetched[key] = await fetch(self._blobs, key)
