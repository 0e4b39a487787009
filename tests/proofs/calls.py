"""Every transaction of the engine, and a call that leads to it: what is broken at each seam, one after the other.

A call is a function that sets the stage and gives what is then called. It is named after the verb that it submits, or
after the method that has a transaction of its own. `test_seams` fails where one has no call here.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, NamedTuple

import pytest

from core.player import slices_of
from engine.gating import limited
from engine.plant import KINDS, NS, Plant, after, completion, encoded, failure, join, node, run_input
from stoker.bootstrap.keyring import Keyring
from stoker.core.by_node import SayRequest
from stoker.core.fork_views import ForkRequest
from stoker.core.graph import WAIT_KIND, KindSpec, OnChange, Ref, Retry, RunInput, Wait
from stoker.core.keep_views import KeepSpec
from stoker.core.own_claim import OwnClaim, OwnTask
from stoker.core.protocol import Log, Progress
from stoker.core.schedule_views import RunNowRequest, ScheduleSpec
from stoker.core.secret_views import SecretRequest
from stoker.core.views import PublishRequest, RoleRequest, SettleRequest, TokenRequest
from stoker.engine.acting import Act as Doing
from stoker.engine.declared import Declared
from stoker.engine.dispatch import Handed
from stoker.engine.documents import Changes
from stoker.engine.known import GateName
from stoker.engine.own_verbs import Recover
from stoker.engine.refusals import Refusal
from stoker.errors import StokerError, Unavailable

OLD, NEW = bytes([1]) * 32, bytes([2]) * 32  # keys of secrets


class Stage(Plant):
    """An installation that keeps the claims that it holds open."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, keys=[OLD], **options)
        self.waiting: list[asyncio.Task[Any]] = []

    async def stop(self) -> None:
        await super().stop()
        for call in self.waiting:
            with suppress(StokerError):
                await call


Act = Callable[[], Awaitable[Any]]
Stages = Callable[[Stage], Awaitable[Act]]


class Call(NamedTuple):
    """`quiet`: nobody waits for the outcome, or cannot be told. `mend`: what time makes up for.

    `shared`: only with other servers. `unseen`: all that changes is a time or a secret. `anew`: asked again, it does it
    again, or refuses, as it says.
    """

    stage: Callable[[Stage], Awaitable[Act]]
    quiet: bool = False
    mend: Callable[[Stage], Awaitable[None]] | None = None
    shared: bool = False
    unseen: bool = False
    anew: bool = False


CALLS: dict[str, Call] = {}


def call(name: str, **options: Any) -> Callable[[Stages], Stages]:
    def add(stage: Stages) -> Stages:
        CALLS[name] = Call(stage, **options)
        return stage

    return add


# --- callers ---


@call("Trigger")
async def trigger(plant: Stage) -> Act:
    await plant.push(node("a"))
    return plant.trigger


@call("Cancel")
async def cancel(plant: Stage) -> Act:
    await plant.push(node("a"))
    run = await plant.trigger()
    return lambda: plant.engine.runs.cancel(NS, run)


@call("RetryRun", anew=True)
async def retry(plant: Stage) -> Act:
    await plant.push(node("a"), node("b", join("a")))
    run = await plant.trigger()
    hand = plant.hand()
    await hand.fail(*await hand.claim())
    return lambda: plant.engine.runs.retry(NS, run)


@call("Fork", anew=True)
async def fork(plant: Stage) -> Act:
    await plant.push(node("a"), node("b", after("a")))
    run, hand = await plant.trigger(), plant.hand()
    await hand.complete(*await hand.claim())
    await hand.complete(*await hand.claim())
    return lambda: plant.engine.forks.fork(NS, run, ForkRequest(from_="b"))


@call("CancelTask")
async def cancel_task(plant: Stage) -> Act:
    await plant.push(node("a"))
    await plant.trigger()
    (task,) = await plant.hand().claim()
    return lambda: plant.engine.tasks.cancel(NS, task.task)


@call("RetryTask", anew=True)
async def retry_task(plant: Stage) -> Act:
    await plant.push(node("a"), node("b", join("a")))
    await plant.trigger()
    hand = plant.hand()
    (task,) = await hand.claim()
    await hand.fail(task)
    return lambda: plant.engine.runs.retry_task(NS, task.task)


@call("Settle")
async def settle(plant: Stage) -> Act:
    await plant.push(node("a", kind=WAIT_KIND, wait=Wait()), node("b", after("a")))
    run = await plant.trigger()
    (task,) = await plant.tasks(run)
    return lambda: plant.engine.waits.settle(NS, task.id, SettleRequest(value=encoded(1)))


LIVE = (
    node("a", OnChange(of=("x",)), bind={"x": RunInput(name="x")}),
    node("b", OnChange(of=("a",)), bind={"a": Ref(node="a", optional=True)}),
)


async def live(plant: Stage) -> int:
    await plant.push(*LIVE, inputs=("x",), mode="live")
    return await plant.trigger(inputs={"x": 1})


@call("Publish", anew=True)
async def publish(plant: Stage) -> Act:
    run = await live(plant)
    return lambda: plant.engine.live.publish(NS, run, "a", PublishRequest(value=encoded(1)))


@call("Say", anew=True)
async def say(plant: Stage) -> Act:
    run = await live(plant)
    return lambda: plant.engine.nodes.say(NS, run, "a", SayRequest(value=encoded(1)))


@call("Fire", anew=True)
async def fire(plant: Stage) -> Act:
    run = await live(plant)
    hand = plant.hand()
    await hand.complete(*await hand.claim())
    return lambda: plant.engine.live.fire(NS, run, "a")


# --- runners ---


@call("Ask", quiet=True)
async def ask(plant: Stage) -> Act:
    """What came with a lost answer is released when the runner asks again."""
    await plant.push(node("a"), name="before")
    hand = plant.hand()
    await hand.ask(0)
    await plant.push(node("a"))
    await plant.trigger()
    return lambda: hand.claim(1, alone=True)


@call("Exchange")
async def exchange(plant: Stage) -> Act:
    await plant.push(node("a", kind="many"), node("b", after("a")), node("c", join("b", anchor="a")))
    await plant.trigger()
    hand = plant.hand()
    (task,) = await hand.claim()
    names = {"task": task.task, "attempt": task.attempt}
    reports = [Log(**names, seq=0, text="x"), Progress(**names, fraction=0.5), completion(task, items=[1, 2])]
    return lambda: hand.report(*reports)


@call("Unbound", quiet=True)
async def unbound(plant: Stage) -> Act:
    deep = {"all": Ref(node="b", many=True, path=("deep",))}
    await plant.push(node("a"), node("b", after("a", ())), node("c", join("b"), bind=deep))
    await plant.trigger()
    hand = plant.hand()
    await hand.complete(*await hand.claim(), [1, 2])
    for task in await hand.claim(2):
        await hand.complete(task, {"deep" if task.branch.endswith("[0]") else "shallow": "x" * 100_000})
    (task,) = await hand.claim()

    async def fetch() -> None:
        with pytest.raises(StokerError, match=r"cannot be bound|is away|was lost again|went away|no lease"):
            async for _ in await plant.engine.leases.input(NS, hand.secret, task.task, task.attempt):
                pass

    return fetch


@call("Handback", quiet=True)
async def hand_back(plant: Stage) -> Act:
    await plant.push(node("a"))
    await plant.trigger()
    hand = plant.hand()
    answer = await hand.ask(1)
    hand.drop()

    async def undelivered() -> None:
        await plant.engine.leases.undelivered(hand.secret, answer)
        await plant.settled()

    return undelivered


async def own_lease(plant: Stage) -> OwnTask:
    await plant.push(node("a"), node("b", after("a")))
    await plant.trigger()
    (task,) = await plant.engine.own.claim(NS, OwnClaim(name="caller", kinds=("one",), lease_s=900))
    return task


@call("OwnReport")
async def own_report(plant: Stage) -> Act:
    task = await own_lease(plant)

    async def report() -> None:
        told = await plant.engine.own.report(NS, completion(task.assignment))
        assert told.accepted or told.repeated

    return report


@call("OwnExtend", unseen=True)
async def own_extend(plant: Stage) -> Act:
    task = await own_lease(plant)
    return lambda: plant.engine.own.extend(NS, task.task.id, task.task.attempt, 3_600)


@call("Recover", quiet=True)
async def recover(plant: Stage) -> Act:
    task = await own_lease(plant)
    (session,) = plant.engine.sessions.of([task.task.session or 0]).values()
    assert session is not None

    async def look() -> None:
        plant.engine.batches.start(Recover(session, task.task.answer))
        await plant.settled()

    return look


@call("PutOff", quiet=True)
async def put_off(plant: Stage) -> Act:
    await plant.push(node("a", kind="open"), kinds=(KindSpec(name="open", secrets=("TOKEN",)),))
    await secret(plant)
    await plant.trigger()
    hand = plant.hand(kinds=("open",))
    (task,) = await hand.claim()
    session = await plant.engine.sessions.find(hand.secret)
    assert session is not None
    delivery = plant.engine.leases._delivery
    delivery._keys = Keyring()

    declared = Declared(session.namespace, "g", ("TOKEN",))

    async def fill() -> None:
        handed = await delivery.fill(session, Handed(1, [task], 0, {task.task: declared}))
        assert handed.tasks == []
        await plant.settled()

    return fill


@call("Leave")
async def leave(plant: Stage) -> Act:
    await plant.push(node("a"))
    await plant.trigger()
    hand = plant.hand()
    await hand.claim()
    return lambda: plant.engine.leases.leave(NS, hand.secret)


@call("Shorten", unseen=True)
async def shorten(plant: Stage) -> Act:
    await plant.push(node("a"))
    await plant.trigger()
    hand = plant.hand()
    await hand.claim()
    return lambda: plant.engine.leases.closed(hand.secret)


@call("Sessions._insert")
async def introduce(plant: Stage) -> Act:
    hand = plant.hand()
    return lambda: hand.ask(0)


@call("Sessions._update")
async def update(plant: Stage) -> Act:
    hand = plant.hand()
    await hand.ask(0)
    hand.info = plant.hand("renamed").info
    return lambda: hand.ask(0)


# --- time ---


async def _later(plant: Stage) -> None:
    """A server that could not reach its database is patient for a lease length."""
    await plant.pass_time(21)


def ticks(plant: Stage, seconds: float = 0) -> Act:
    async def tick() -> None:
        await plant.tick()

    plant.clock.advance(seconds)
    return tick


@call("Lose", mend=_later)
async def lose(plant: Stage) -> Act:
    await plant.push(node("a"))
    await plant.trigger()
    await plant.hand().claim()
    plant.clock.advance(21)
    return plant.engine.upkeep.reap


@call("PutAway", mend=_later)
async def put_away(plant: Stage) -> Act:
    await plant.hand().ask(0)
    return ticks(plant, 21)


@call("Present", unseen=True)
async def present(plant: Stage) -> Act:
    hand = plant.hand()
    waiting = hand.waiting()
    await hand.armed()
    plant.waiting.append(waiting)
    await plant.tick()
    return ticks(plant, 30)


@call("Due")
async def due(plant: Stage) -> Act:
    await plant.push(node("a", retry=Retry(attempts=2, base="2s")))
    await plant.trigger()
    hand = plant.hand()
    (task,) = await hand.claim()
    await hand.report(failure(task))
    return ticks(plant, 2)


@call("Expire")
async def expire(plant: Stage) -> Act:
    await plant.push(node("a", timeout="5s"))
    await plant.trigger()
    await plant.hand().claim()
    return ticks(plant, 5)


@call("Sweep")
async def sweep(plant: Stage) -> Act:
    await plant.push(node("a"))
    await plant.engine.runs.cancel(NS, await plant.trigger())
    return ticks(plant)


@call("Spread")
async def spread(plant: Stage) -> Act:
    await plant.push(node("a"), node("b", after("a", ())))
    await plant.trigger()
    hand = plant.hand()
    with slices_of(2):
        await hand.complete(*await hand.claim(), [1, 2, 3])
    return ticks(plant)


async def scheduled(plant: Stage) -> None:
    await plant.push(node("a"))
    await plant.engine.schedules.put(NS, "often", ScheduleSpec(graph="sample", every="1s"))


@call("FireSchedule")
async def fire_schedule(plant: Stage) -> Act:
    await scheduled(plant)
    return ticks(plant, 1)


@call("RunNow")
async def run_now(plant: Stage) -> Act:
    await scheduled(plant)
    return lambda: plant.engine.schedules.run(NS, "often", RunNowRequest())


@call("Schedules.put")
async def put_schedule(plant: Stage) -> Act:
    await plant.push(node("a"))
    return lambda: plant.engine.schedules.put(NS, "often", ScheduleSpec(graph="sample", every="1s"))


@call("Schedules._change")
async def pause_schedule(plant: Stage) -> Act:
    await scheduled(plant)
    return lambda: plant.engine.schedules.pause(NS, "often", paused=True)


@call("Refuse", quiet=True)
async def refuse(plant: Stage) -> Act:
    await plant.push(node("a"), node("b", after("a"), bind={"x": Ref(node="a", path=("deep", 0))}))
    await plant.trigger()
    hand = plant.hand()
    await hand.complete(*await hand.claim(), {"deep": []})

    async def claim() -> None:
        assert await hand.claim() == []
        await plant.settled()

    return claim


# --- the gates of single values ---


async def _keyed(plant: Stage) -> int:
    """A limit by a value; gives its gate."""
    value = {"who": run_input("who")}
    await plant.push(limited("a", key="tenant", most=1, by=("who",), bind=value), inputs=["who"])
    ((template,),) = await plant.sql("SELECT id FROM gate")
    return int(template)


@call("Keys.intern")
async def intern(plant: Stage) -> Act:
    template = await _keyed(plant)
    ((namespace,),) = await plant.sql("SELECT namespace FROM gate")
    return lambda: plant.engine.keys.intern([GateName(namespace, template, "blue")])


async def _next_look(plant: Stage) -> None:
    plant.clock.advance(3_601)
    await plant.tick()


@call("Keys.tidy", mend=_next_look)
async def tidy(plant: Stage) -> Act:
    await _keyed(plant)
    run = await plant.trigger(inputs={"who": "old"})
    await plant.engine.runs.cancel(NS, run)
    await plant.tick()
    plant.clock.advance(25 * 3_600)
    return plant.engine.keys.tidy


# --- what is kept besides ---


@call("Catalog._push")
async def push(plant: Stage) -> Act:
    return lambda: plant.push(node("a", limit=None))


@call("Catalog.put_kinds")
async def put_kinds(plant: Stage) -> Act:
    return lambda: plant.engine.catalog.put_kinds(NS, [*KINDS, KindSpec(name="another")])


@call("Namespaces.made")
async def namespace(plant: Stage) -> Act:
    return lambda: plant.engine._namespaces.made("another")


@call("Tokens.create", anew=True)
async def create(plant: Stage) -> Act:
    return lambda: plant.engine.tokens.create(TokenRequest(name="one", scopes=["read"]))


@call("Tokens.revoke", anew=True)
async def revoke(plant: Stage) -> Act:
    token = await plant.engine.tokens.create(TokenRequest(name="one", scopes=["read"]))
    return lambda: plant.engine.tokens.revoke(token.id)


@call("Roles.put")
async def put_role(plant: Stage) -> Act:
    return lambda: plant.engine.roles.put("night-shift", RoleRequest(scopes=["read"]))


@call("Roles.delete", anew=True)
async def delete_role(plant: Stage) -> Act:
    await plant.engine.roles.put("night-shift", RoleRequest(scopes=["read"]))
    return lambda: plant.engine.roles.delete("night-shift")


async def secret(plant: Stage) -> None:
    await plant.engine.secrets.put(NS, "TOKEN", SecretRequest(value="worth it"))


@call("Secrets.put")
async def put_secret(plant: Stage) -> Act:
    return lambda: secret(plant)


@call("Secrets.delete", anew=True)
async def delete_secret(plant: Stage) -> Act:
    await secret(plant)
    return lambda: plant.engine.secrets.delete(NS, "TOKEN")


@call("Secrets.rotate", unseen=True)
async def rotate(plant: Stage) -> Act:
    await secret(plant)
    plant.engine.secrets._keys = Keyring([NEW, OLD])
    return plant.engine.secrets.rotate


@call("Documents.change", anew=True)
async def change_documents(plant: Stage) -> Act:
    async def add(changes: Changes) -> None:
        await changes.add("sample.note", b"{}", name="one")

    return lambda: plant.engine.documents.change(NS, add)


@call("Opaque._add", anew=True)
async def rotate_opaque(plant: Stage) -> Act:
    await plant.engine.opaque.open()
    return plant.engine.opaque.rotate


@call("Audit.tell", anew=True)
async def unchanged(plant: Stage) -> Act:
    return lambda: plant.engine.audit.tell(Doing(token=0, verb="cancel_run"))


@call("Audit.settings")
async def settings(plant: Stage) -> Act:
    return lambda: plant.engine.audit.settings("server:one", {"port": 5220})


@call("Audit.flush", quiet=True)
async def flush(plant: Stage) -> Act:
    plant.engine.audit.refused(Refusal(None, "", "", "cancel_run", "", "unauthorized"), "", "")
    return plant.engine.audit.flush


@call("Audit._forget")
async def forget(plant: Stage) -> Act:
    await plant.engine.audit.tell(Doing(token=0, verb="cancel_run", at=1))
    return lambda: plant.engine.audit._forget(2)


@call("Artifacts.put", anew=True)
async def put(plant: Stage) -> Act:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"bytes"

    return lambda: plant.engine.artifacts.put(NS, "a name", "text/plain", chunks())


@call("Peers._beat", shared=True, unseen=True)
async def peer(plant: Stage) -> Act:
    plant.clock.advance(11)
    return plant.engine.peers.tick


@call("Peers.close", shared=True, unseen=True)
async def gone(plant: Stage) -> Act:
    async def close() -> None:
        await single_leave(plant)

    return close


async def single_leave(plant: Stage) -> None:
    """What a server does to its row as it stops, without stopping."""
    peers = plant.engine.peers
    hints, peers._hints = peers._hints, Mute()
    try:
        await peers.close()
    finally:
        peers._hints = hints


class Mute:
    """Whispers that nobody hears."""

    deaf = True

    async def say(self, text: str) -> None:
        return None

    async def close(self) -> None:
        return None


# --- what is kept ---


async def ended(plant: Stage) -> int:
    await plant.push(node("a"))
    run = await plant.trigger()
    hand = plant.hand()
    await hand.complete(*await hand.claim())
    return run


@call("Retention._change")
async def put_keep(plant: Stage) -> Act:
    await plant.push(node("a"))
    return lambda: plant.engine.retention.put(NS, KeepSpec(age="1d"))


@call("Holds.take", quiet=True)
@call("Holds.give", quiet=True)
@call("Hold.go_on", quiet=True)
@call("Collecting._delete", quiet=True)
@call("Collecting._go_on", quiet=True)
async def collect(plant: Stage) -> Act:
    """An artifact that nothing names, and its bytes. What somebody held who broke is free again after a while."""
    upload = await put(plant)
    await upload()

    async def collected() -> None:
        plant.clock.advance(2 * 86_400)
        for path in (plant.data / "artifacts").glob("??/*"):
            os.utime(path, (1, 1))
        plant.engine.collecting.start(dry_run=False)
        if error := (await plant.engine.collecting.look(60)).error:
            raise Unavailable(error)

    return collected


@call("Erasing.hide")
async def hide(plant: Stage) -> Act:
    run = await ended(plant)
    return lambda: plant.engine.retention._erasing.hide([run])


@call("Erasing.erase")
async def erase(plant: Stage) -> Act:
    await plant.engine.retention._erasing.hide([await ended(plant)])
    return plant.engine.retention._erasing.erase
