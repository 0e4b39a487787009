"""Documents: kept as they were given, changed in one line, all or nothing."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from engine.plant import NS, Plant, node
from stoker.core.graph import KindSpec
from stoker.engine.documents import Changes, Document
from stoker.errors import Conflict, Invalid, NotFound

NOTE, BOOK = "sample.note", "sample.book"


async def add(plant: Plant, *bodies: bytes, sort: str = NOTE, name: str | None = None) -> list[Document]:
    async def work(changes: Changes) -> list[Document]:
        return [await changes.add(sort, body, name=name) for body in bodies]

    return await plant.engine.documents.change(NS, work)


async def test_a_document_is_given_back_as_it_was_and_numbered_from_one_in_its_sort(plant: Plant) -> None:
    documents = plant.engine.documents
    body = b'{"deep": "\\u0000"}\xff'
    (first,) = await add(plant, body, name="one")
    assert (first.id, first.name, first.parent, first.body) == (1, "one", None, body)
    assert await documents.get(NS, NOTE, 1) == first
    assert await documents.named(NS, NOTE, "one") == first
    assert [each.id for each in await add(plant, b"", b"x")] == [2, 3]
    assert [each.id for each in await add(plant, b"", sort=BOOK)] == [1]
    assert [each.body for each in await documents.list(NS, NOTE)] == [body, b"", b"x"]
    assert await documents.get("another", NOTE, 1) is None
    assert await documents.list("nowhere", NOTE) == []
    assert await documents.get(NS, NOTE, 9) is None


async def test_ids_go_on_behind_those_that_are_gone_and_after_a_restart(plant: Plant) -> None:
    await add(plant, b"", b"")
    await plant.engine.documents.change(NS, lambda changes: changes.delete(NOTE, 2))
    await plant.restart()
    assert [each.id for each in await add(plant, b"")] == [3]


async def test_documents_are_listed_by_their_parent(plant: Plant) -> None:
    async def work(changes: Changes) -> None:
        for parent in ("a", "b", "a"):
            await changes.add(NOTE, b"", parent=parent)

    await plant.engine.documents.change(NS, work)
    assert [each.id for each in await plant.engine.documents.list(NS, NOTE, "a")] == [1, 3]
    assert await plant.engine.documents.list(NS, NOTE, "c") == []


async def test_a_name_is_taken_once_in_a_sort(plant: Plant) -> None:
    await add(plant, b"", name="one")
    await add(plant, b"", sort=BOOK, name="one")
    (second,) = await add(plant, b"", name="two")
    with pytest.raises(Conflict, match=r"there is a sample\.note 'one' already"):
        await add(plant, b"", name="one")
    with pytest.raises(Conflict):
        await plant.engine.documents.change(
            NS, lambda changes: changes.put(msgspec.structs.replace(second, name="one"))
        )
    with pytest.raises(Invalid, match="control character"):
        await add(plant, b"", name="o\x00ne")
    await plant.engine.documents.change(NS, lambda changes: changes.put(msgspec.structs.replace(second, body=b"2")))
    found = await plant.engine.documents.named(NS, NOTE, "two")
    assert (found and found.body) == b"2"


async def test_all_of_a_change_is_done_or_nothing(plant: Plant) -> None:
    async def work(changes: Changes) -> None:
        await changes.add(NOTE, b"", name="one")
        await changes.add(NOTE, b"", name="one")

    with pytest.raises(Conflict):
        await plant.engine.documents.change(NS, work)
    assert await plant.engine.documents.list(NS, NOTE) == []
    assert [each.id for each in await add(plant, b"")] == [1]


async def test_two_who_merge_at_once_both_survive(plant: Plant) -> None:
    await add(plant, b"{}")

    async def merge(key: str) -> None:
        async def work(changes: Changes) -> None:
            found = await changes.get(NOTE, 1)
            assert found is not None
            body = msgspec.json.encode({**msgspec.json.decode(found.body), key: 1})
            await changes.put(msgspec.structs.replace(found, body=body))

        await plant.engine.documents.change(NS, work)

    await asyncio.gather(*(merge(str(number)) for number in range(8)))
    found = await plant.engine.documents.get(NS, NOTE, 1)
    assert found is not None
    assert sorted(msgspec.json.decode(found.body)) == [str(number) for number in range(8)]


async def test_what_is_referred_to_while_it_is_deleted_is_either_kept_or_not_referred_to(plant: Plant) -> None:
    """Each looks at what the other writes: one of the two finds out."""

    async def delete(changes: Changes) -> None:
        if await changes.list(BOOK, "1"):
            raise Conflict("it is in use")
        await changes.delete(NOTE, 1)

    async def refer(changes: Changes) -> None:
        if await changes.get(NOTE, 1) is None:
            raise NotFound("there is none")
        await changes.add(BOOK, b"", parent="1")

    change = plant.engine.documents.change
    for number in range(1, 5):
        await change(NS, lambda changes: changes.add(NOTE, b""))
        done = await asyncio.gather(change(NS, delete), change(NS, refer), return_exceptions=True)
        assert sum(isinstance(each, Exception) for each in done) == 1, number
        there = await plant.engine.documents.get(NS, NOTE, 1)
        assert (there is not None) == bool(await plant.engine.documents.list(NS, BOOK, "1"))
        if there is None:
            break
        for each in await plant.engine.documents.list(NS, BOOK, "1"):
            await change(NS, lambda changes, id_=each.id: changes.delete(BOOK, id_))


async def test_one_that_is_gone_is_not_put(plant: Plant) -> None:
    (made,) = await add(plant, b"")
    assert await plant.engine.documents.change(NS, lambda changes: changes.delete(NOTE, made.id))
    assert not await plant.engine.documents.change(NS, lambda changes: changes.delete(NOTE, made.id))
    with pytest.raises(NotFound, match=r"there is no sample\.note 1"):
        await plant.engine.documents.change(NS, lambda changes: changes.put(made))


async def test_when_it_was_made_stays_and_when_it_was_changed_is_told(plant: Plant) -> None:
    (made,) = await add(plant, b"")
    plant.clock.advance(5)
    put = await plant.engine.documents.change(NS, lambda changes: changes.put(made))
    assert put.updated_at == made.updated_at + 5_000_000
    assert await plant.engine.documents.get(NS, NOTE, 1) == put
    assert put.created_at == made.created_at


async def test_kinds_are_registered_with_what_belongs_to_them_or_not_at_all(plant: Plant) -> None:
    catalog, documents = plant.engine.catalog, plant.engine.documents

    async def along(changes: Changes) -> None:
        await changes.add(NOTE, b"runtime", name="k")

    await catalog.put_kinds("plant", [KindSpec(name="k")], along)
    with pytest.raises(Conflict):
        await catalog.put_kinds("plant", [KindSpec(name="k"), KindSpec(name="other")], along)
    assert [kind.name for kind in await catalog.kinds("plant")] == ["k"]
    assert [each.name for each in await documents.list("plant", NOTE)] == ["k"]
    await add(plant, b"")
    assert await catalog.namespaces() == ["plant"]
    await plant.push(node("a"))
    assert await catalog.namespaces() == [NS, "plant"]
