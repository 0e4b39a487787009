"""Secrets on the engine: who gets them and who does not, keys that are missing, and what lies on the disk."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.plant import NS, Hand, ManualClock, Plant, after, completion, elsewhere, meet, node
from stoker.bootstrap.keyring import Keyring, id_of
from stoker.core.graph import GraphSpec, KindSpec
from stoker.core.protocol import ClaimRequest, RunnerInfo
from stoker.core.secret_views import SecretRequest
from stoker.core.views import PushRequest
from stoker.engine.delivery import AGAIN
from stoker.engine.secrets import SLICE
from stoker.errors import Conflict, Invalid, NotFound, StokerError, Unavailable

ONE, TWO, THREE = bytes([1]) * 32, bytes([2]) * 32, bytes([3]) * 32
VALUE = "correct horse battery staple"
KINDS = (KindSpec(name="one"), KindSpec(name="many", items="many"), KindSpec(name="open", secrets=("TOKEN",)))
OTHER = "other"


async def put(plant: Plant, name: str = "TOKEN", value: str = VALUE, namespace: str = NS) -> str:
    return (await plant.engine.secrets.put(namespace, name, SecretRequest(value=value))).key


async def names(plant: Plant, namespace: str = NS) -> list[str]:
    page = await plant.engine.secrets.list(namespace, limit=1_000, after=None)
    return [view.name for view in page.items]


async def give(plant: Plant, *keys: bytes) -> None:
    """Start the server anew with these keys."""
    plant.keys = keys
    await plant.restart()


def opener(plant: Plant, name: str = "hand") -> Hand:
    return plant.hand(name, kinds=("open", "one"))


@pytest.fixture
async def keyed(plant: Plant) -> Plant:
    await give(plant, ONE)
    return plant


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[Plant]:
    """On SQLite alone: for what no database has a part in."""
    plant = await Plant(tmp_path / "data", keys=[ONE]).start()
    yield plant
    await plant.stop()


# --- set, listed, deleted ---


async def test_a_secret_is_set_listed_without_its_value_set_anew_and_deleted(keyed: Plant) -> None:
    view = await keyed.engine.secrets.put(NS, "TOKEN", SecretRequest(value=VALUE))
    assert (view.name, view.key, view.created) == ("TOKEN", id_of(ONE), True)
    again = await keyed.engine.secrets.put(NS, "TOKEN", SecretRequest(value="another"))
    assert not again.created
    await put(keyed, "PASS")
    page = await keyed.engine.secrets.list(NS, limit=1, after=None)
    assert ([one.name for one in page.items], page.after) == (["PASS"], "PASS")
    assert VALUE not in msgspec.json.encode(page).decode()
    await keyed.engine.secrets.delete(NS, "TOKEN")
    assert await names(keyed) == ["PASS"]
    with pytest.raises(NotFound, match="has no secret 'TOKEN'"):
        await keyed.engine.secrets.delete(NS, "TOKEN")


@pytest.mark.parametrize(
    ("name", "value", "wrong"),
    [
        ("", VALUE, "at least one character"),
        ("a/b", VALUE, "slash"),
        ("TOKEN", "abc", "3 characters"),
        ("TOKEN", "x" * 65_537, "the limit is 65536"),
        ("TOKEN", "half \ud800 pair", "surrogate"),
    ],
)
async def test_what_cannot_be_a_secret_is_refused_without_showing_it(
    embedded: Plant, name: str, value: str, wrong: str
) -> None:
    with pytest.raises(Invalid, match=wrong) as caught:
        await put(embedded, name, value)
    assert value not in str(caught.value)
    assert await names(embedded) == []


async def test_a_server_without_a_key_keeps_no_secret(plant: Plant) -> None:
    with pytest.raises(Conflict, match=r"no key to encrypt under.*stoker server key"):
        await put(plant)
    with pytest.raises(Conflict, match="no key to encrypt under"):
        await plant.engine.secrets.rotate()


async def test_what_a_kind_declares_must_be_a_name(embedded: Plant) -> None:
    with pytest.raises(Invalid, match="kind 'open', secrets: the name 'a/b' holds a slash"):
        await embedded.push(node("a", kind="open"), kinds=(KindSpec(name="open", secrets=("a/b",)),))
    with pytest.raises(Invalid, match="slash"):
        await embedded.engine.catalog.put_kinds(NS, [KindSpec(name="open", secrets=("a/b",))])


async def test_a_push_warns_of_secrets_that_are_not_set(embedded: Plant) -> None:
    spec = GraphSpec(name="sample", nodes=(node("a", kind="open"),))
    view = await embedded.engine.catalog.push(NS, PushRequest(graph=spec, kinds=KINDS))
    (warning,) = view.warnings
    assert "'open' declares the secret 'TOKEN', which is not set" in warning
    assert "stoker secrets set TOKEN" in warning
    await put(embedded)
    assert (await embedded.engine.catalog.push(NS, PushRequest(graph=spec, kinds=KINDS))).warnings == []


# --- who gets them ---


async def test_a_secret_goes_with_the_lease_of_a_task_whose_kind_declares_it_and_with_no_other(keyed: Plant) -> None:
    await put(keyed)
    await put(keyed, "ANOTHER")
    await keyed.push(node("a", kind="open"), node("b"), kinds=KINDS)
    await keyed.trigger()
    given = {task.node: task.secrets for task in await opener(keyed).claim(2)}
    assert given == {"a": {"TOKEN": VALUE}, "b": {}}


async def test_it_goes_with_a_hand_off_and_to_who_waits(keyed: Plant) -> None:
    await put(keyed)
    await keyed.push(node("a"), node("b", after("a"), kind="open"), kinds=KINDS)
    await keyed.trigger()
    hand = opener(keyed)
    (first,) = await hand.claim()
    answer = await hand.exchange(completion(first), want=1)
    assert [task.secrets for task in answer.tasks] == [{"TOKEN": VALUE}]
    await hand.complete(answer.tasks[0])
    await keyed.push(node("a", kind="open"), kinds=KINDS, name="open")
    waiting = hand.waiting()
    await hand.armed()
    await keyed.trigger("open")
    assert [task.secrets for task in (await waiting).tasks] == [{"TOKEN": VALUE}]


async def test_the_kind_that_counts_is_the_one_of_the_version(embedded: Plant) -> None:
    await put(embedded)
    await embedded.push(node("a"), node("b", kind="open"), kinds=KINDS)
    await embedded.engine.catalog.put_kinds(NS, [KindSpec(name="one", secrets=("TOKEN",)), KindSpec(name="open")])
    await embedded.trigger()
    given = {task.node: task.secrets for task in await opener(embedded).claim(2)}
    assert given == {"a": {}, "b": {"TOKEN": VALUE}}


async def test_a_secret_stays_in_its_namespace(keyed: Plant) -> None:
    await put(keyed)
    await put(keyed, value="that of the other", namespace=OTHER)
    spec = GraphSpec(name="sample", nodes=(node("a", kind="open"),))
    await keyed.engine.catalog.push(OTHER, PushRequest(graph=spec, kinds=KINDS))
    await keyed.engine.runs.trigger(OTHER, [keyed.request({})])
    request = ClaimRequest(session="f" * 32, runner=RunnerInfo(name="x", kinds=["open"]), want=1)
    answer = await keyed.engine.leases.claim(OTHER, request, frozenset())
    assert [task.secrets for task in answer.tasks] == [{"TOKEN": "that of the other"}]
    assert await names(keyed) == await names(keyed, OTHER) == ["TOKEN"]


async def test_nothing_but_the_answer_of_a_lease_carries_it(keyed: Plant) -> None:
    """A claim made again, the input of the task, what views, logs, events and explanations say, the session's row."""
    await put(keyed)
    await keyed.push(node("a", kind="open"), kinds=KINDS)
    run = await keyed.trigger()
    hand = opener(keyed)
    (task,) = await hand.claim()
    again = await hand.ask(1)
    thief = opener(keyed, "thief")
    said = [again, await thief.ask(1), await hand.beat(), await keyed.run(run), await keyed.tasks(run)]
    chunks = await keyed.engine.leases.input(NS, hand.secret, task.task, task.attempt)
    said.append([chunk async for chunk in chunks])
    with pytest.raises(NotFound, match="no lease"):
        await keyed.engine.leases.input(NS, thief.secret, task.task, task.attempt)
    await hand.fail(task)
    said += [await keyed.engine.views.explain_task(NS, task.task), await keyed.engine.views.attempts(NS, task.task)]
    said += [await keyed.engine.views.runners(NS), await keyed.engine.catalog.kinds(NS)]
    assert VALUE not in msgspec.json.encode(said).decode()


async def test_one_that_is_not_set_is_left_out(embedded: Plant) -> None:
    await embedded.push(node("a", kind="open"), kinds=KINDS)
    await embedded.trigger()
    assert [task.secrets for task in await opener(embedded).claim()] == [{}]


async def test_tasks_of_kinds_without_secrets_cost_no_look_at_them(embedded: Plant) -> None:
    await put(embedded)
    await embedded.push(node("a"), kinds=KINDS)
    await embedded.trigger()
    peeks: list[Any] = []
    embedded.engine.leases._delivery._store = peeks  # type: ignore[assignment]  # whatever asks it fails
    assert len(await opener(embedded).claim()) == 1


async def test_a_lease_whose_secrets_cannot_be_read_is_handed_back(
    embedded: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(embedded)
    await embedded.push(node("a"), node("b", after("a"), kind="open"), kinds=KINDS)
    run = await embedded.trigger()
    hand = opener(embedded)
    (first,) = await hand.claim()

    async def away(_: Any) -> Any:
        raise Unavailable("the database is away")

    with monkeypatch.context() as patch:
        patch.setattr(embedded.engine.store, "peek", away)
        answer = await hand.exchange(completion(first), want=1)
        assert (answer.receipts[0].status, answer.tasks) == ("accepted", [])
        await embedded.settled()
        assert await embedded.states(run, "b") == ["READY"]
        with pytest.raises(Unavailable):
            await hand.ask(1)
        await embedded.settled()
        assert await embedded.states(run, "b") == ["READY"]
    assert [task.secrets for task in await hand.claim()] == [{"TOKEN": VALUE}]


# --- keys ---


async def test_a_wrong_key_fails_no_task_and_is_complained_of(plant: Plant, caplog: pytest.LogCaptureFixture) -> None:
    await give(plant, ONE)
    await put(plant)
    await plant.push(node("a", kind="open"), node("b"), kinds=KINDS)
    run = await plant.trigger()
    with caplog.at_level(logging.ERROR):
        await give(plant, TWO)
    assert f"has not got the key {id_of(ONE)} (1 secret)" in caplog.text
    assert await plant.engine.ready() != []
    keys = [(each.id, each.here, each.writes, each.secrets) for each in await plant.engine.secrets.keys()]
    assert keys == [(id_of(TWO), True, True, 0), (id_of(ONE), False, False, 1)]
    hand = opener(plant)
    (other,) = await hand.claim(2)
    assert other.node == "b"
    await hand.complete(other)
    (task,) = await plant.tasks(run, "a")
    assert (task.state, task.failures, task.losses) == ("READY", 0, 0)
    told = await plant.engine.views.explain_task(NS, task.id)
    assert f"'TOKEN' lies under the key {id_of(ONE)}" in told.because[0]
    assert await hand.claim() == []
    await give(plant, TWO, ONE)
    await plant.pass_time(AGAIN / 1_000_000)
    assert [task.secrets for task in await opener(plant, "next").claim()] == [{"TOKEN": VALUE}]
    assert await plant.engine.ready() == []


async def test_a_server_with_the_key_takes_what_another_cannot_open(database: str, tmp_path: Path) -> None:
    clock = ManualClock()
    here = await Plant(tmp_path / "data", database=database, clock=clock, keys=[ONE]).start()
    there = await Plant(tmp_path / "data", database=database, clock=clock, keys=[TWO], seed=1).start()
    await meet(here, there)
    try:
        await put(here)
        with pytest.raises(Conflict, match=f"has not got the key {id_of(ONE)}"):
            await put(there, "SECOND")
        await here.push(node("a", kind="open"), kinds=KINDS)
        run = await here.trigger()
        hand = opener(there)
        assert await hand.claim() == []
        await there.settled()
        assert await here.states(run) == ["READY"]
        clock.advance(AGAIN / 1_000_000)
        await here.tick()
        assert [task.secrets for task in await elsewhere(hand, here).claim()] == [{"TOKEN": VALUE}]
    finally:
        await there.stop()
        await here.stop()


async def test_a_ciphertext_opens_under_its_own_name_and_namespace_alone(keyed: Plant) -> None:
    await put(keyed)
    await put(keyed, "OTHER", "never seen")
    await put(keyed, value="never seen", namespace=OTHER)
    await keyed.push(node("a", kind="open"), kinds=KINDS)
    for other in ("name = 'OTHER' AND namespace = 1", "name = 'TOKEN' AND namespace <> 1"):
        ((sealed,),) = await keyed.sql(f"SELECT sealed FROM secret WHERE {other}")
        await keyed.sql("UPDATE secret SET sealed = ? WHERE name = 'TOKEN' AND namespace = 1", sealed)
        await keyed.trigger()
        assert await opener(keyed).claim() == []
        await keyed.settled()


async def test_secrets_are_not_set_beside_those_that_cannot_be_read(plant: Plant) -> None:
    await give(plant, ONE)
    await put(plant)
    await give(plant, TWO)
    with pytest.raises(Conflict, match=f"'SECOND' cannot be set.*{id_of(ONE)}"):
        await put(plant, "SECOND")
    await plant.engine.secrets.delete(NS, "TOKEN")
    assert await put(plant, "SECOND") == id_of(TWO)


# --- rotation ---


async def under(plant: Plant) -> dict[str, int]:
    rows = await plant.sql("SELECT key, COUNT(*) FROM secret GROUP BY key")
    return {str(row[0]): int(row[1]) for row in rows}


async def rotated(plant: Plant) -> tuple[int, list[str]]:
    done, left, after = 0, [], None
    while True:
        answer = await plant.engine.secrets.rotate(after)
        done, left, after = done + answer.rotated, [*left, *answer.left], answer.after
        if after is None:
            return done, left


async def test_a_rotation_encrypts_everything_anew_and_a_second_one_does_nothing(keyed: Plant) -> None:
    await put(keyed)
    await put(keyed, value="that of the other", namespace=OTHER)
    (before,) = await keyed.sql("SELECT updated_at FROM secret WHERE namespace = 1")
    await give(keyed, TWO, ONE)
    assert await rotated(keyed) == (2, [])
    assert await under(keyed) == {id_of(TWO): 2}
    assert await rotated(keyed) == (0, [])
    await give(keyed, TWO)
    assert await keyed.sql("SELECT updated_at FROM secret WHERE namespace = 1") == [before]
    await keyed.push(node("a", kind="open"), kinds=KINDS)
    await keyed.trigger()
    assert [task.secrets for task in await opener(keyed).claim()] == [{"TOKEN": VALUE}]


async def many(plant: Plant) -> int:
    """More secrets than one slice, under the first key; put down at once."""
    await put(plant)
    ((sealed,),) = await plant.sql("SELECT sealed FROM secret")
    count = SLICE + 5
    rows = ", ".join(f"(1, 'X{number:04}', '{id_of(ONE)}', ?, 0)" for number in range(count))
    ring = Keyring([ONE])
    bodies = [ring.seal(b"worth %d" % number, _context(f"X{number:04}")).body for number in range(count)]
    await plant.sql(f"INSERT INTO secret (namespace, name, key, sealed, updated_at) VALUES {rows}", *bodies)
    assert sealed
    return count + 1


def _context(name: str) -> bytes:
    return msgspec.json.encode(["stoker secret", NS, name])


async def test_a_rotation_that_is_killed_half_way_is_gone_on_with(keyed: Plant) -> None:
    count = await many(keyed)
    await give(keyed, TWO, ONE)
    first = await keyed.engine.secrets.rotate()
    assert (first.rotated, first.after is not None) == (SLICE, True)
    await keyed.crash()
    assert await under(keyed) == {id_of(ONE): count - SLICE, id_of(TWO): SLICE}
    assert await rotated(keyed) == (count - SLICE, [])
    assert await under(keyed) == {id_of(TWO): count}


async def test_two_rotations_at_once_and_a_secret_set_meanwhile_lose_nothing(keyed: Plant) -> None:
    count = await many(keyed)
    await give(keyed, TWO, ONE)
    first, second, _ = await asyncio.gather(rotated(keyed), rotated(keyed), put(keyed, value="set meanwhile"))
    assert first[0] + second[0] in (count, count - 1)
    assert await under(keyed) == {id_of(TWO): count}
    await give(keyed, TWO)
    await keyed.push(node("a", kind="open"), kinds=KINDS)
    await keyed.trigger()
    assert [task.secrets for task in await opener(keyed).claim()] == [{"TOKEN": "set meanwhile"}]


async def test_a_value_set_between_look_and_write_is_not_rotated_away(keyed: Plant) -> None:
    """What a rotation read is stale when it writes."""
    await put(keyed)
    ((stale,),) = await keyed.sql("SELECT sealed FROM secret")
    await put(keyed, value="set meanwhile")
    await keyed.engine.store.transact(
        lambda tx: tx.execute("rotate_secret", id_of(TWO), b"of old", 1, "TOKEN", bytes(stale))
    )
    await keyed.push(node("a", kind="open"), kinds=KINDS)
    await keyed.trigger()
    assert [task.secrets for task in await opener(keyed).claim()] == [{"TOKEN": "set meanwhile"}]


async def test_what_no_key_opens_is_named_and_passed_by(keyed: Plant) -> None:
    await put(keyed)
    await give(keyed, THREE, ONE)
    await put(keyed, "LATER")
    await give(keyed, TWO, THREE)
    assert await rotated(keyed) == (1, ["default/TOKEN"])
    assert await under(keyed) == {id_of(ONE): 1, id_of(TWO): 1}


# --- explanations ---


async def test_it_is_explained_that_a_secret_is_not_set_before_and_after(embedded: Plant) -> None:
    await embedded.push(node("a", kind="open"), kinds=KINDS)
    run = await embedded.trigger()
    (task,) = await embedded.tasks(run)
    told = await embedded.engine.views.explain_task(NS, task.id)
    assert "declares the secret 'TOKEN', which is not set" in told.because[0]
    assert told.remedy == "Set it with `stoker secrets set TOKEN`."


# --- what lies on the disk ---


async def test_no_file_of_an_installation_holds_a_value(tmp_path: Path) -> None:
    plant = await Plant(tmp_path / "data", keys=[ONE]).start()
    await put(plant)
    await plant.push(node("a", kind="open"), kinds=KINDS)
    await plant.trigger()
    (task,) = await opener(plant).claim()
    assert task.secrets == {"TOKEN": VALUE}
    held = [path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert any(b"TOKEN" in content for content in held)
    assert not any(VALUE.encode() in content for content in held)
    await plant.stop()
    assert not any(VALUE.encode() in path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())


async def test_an_answer_that_was_not_heard_gives_the_secret_to_nobody_else(embedded: Plant) -> None:
    """The lease is handed back, and the next one who holds it gets what is then set."""
    await put(embedded)
    await embedded.push(node("a", kind="open"), kinds=KINDS)
    await embedded.trigger()
    hand = opener(embedded)
    answer = await hand.ask(1)
    await embedded.engine.leases.undelivered(hand.secret, answer)
    await embedded.settled()
    with pytest.raises(StokerError, match="no lease"):
        await embedded.engine.leases.input(NS, hand.secret, answer.tasks[0].task, 1)
    await put(embedded, value="set meanwhile")
    assert [task.secrets for task in await opener(embedded, "next").claim()] == [{"TOKEN": "set meanwhile"}]
