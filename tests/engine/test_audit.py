"""The audit log: rows of what calls did, counted refusals, and how long they stay."""

from __future__ import annotations

import asyncio
from typing import Any

import apsw
import asyncpg
import pytest

from engine.plant import NS, START, Plant, node
from stoker.core.audit_views import AuditView
from stoker.core.duration import SECOND
from stoker.core.views import BulkRequest, TokenRequest
from stoker.engine.acting import Act, current, doing
from stoker.engine.audit import BETWEEN, Auditing
from stoker.engine.refusals import MOST, WINDOW, Refusal, Refusals, rows
from stoker.errors import Conflict, Unavailable

DAY = 86_400 * SECOND


def act(verb: str = "call", **options: Any) -> Act:
    given = {"token": 3, "name": "anna", "namespace": NS, "address": "10.0.0.7", "request": verb, "at": START}
    return Act(verb=verb, **{**given, **options})


async def log(plant: Plant, text: str = "", limit: int = 100) -> list[AuditView]:
    return (await plant.engine.audit.list(filter=text, limit=limit, after=None)).items


async def test_a_row_says_who_did_what_to_what_from_where(plant: Plant) -> None:
    await plant.push(node("a"))
    run = await plant.trigger()
    with doing(act("cancel_run", details={"reason": "x"})):
        await plant.engine.runs.cancel(NS, run)
    (row,) = await log(plant)
    assert (row.token, row.name, row.namespace, row.verb, row.address) == (3, "anna", NS, "cancel_run", "10.0.0.7")
    assert (row.subjects, row.count, row.outcome, row.code) == ([f"run:{run}"], 1, "done", "")
    assert (row.request, row.details, row.at.timestamp()) == ("cancel_run", {"reason": "x"}, START / SECOND)


async def test_calls_of_one_batch_have_a_row_each_and_runners_none(plant: Plant) -> None:
    """They share a transaction, and the task that carries the batches began as a part of the first call."""
    await plant.push(node("a"))
    runs = [await plant.trigger() for _ in range(3)]
    hand = plant.hand()

    async def cancel(run: int) -> None:
        with doing(act(f"cancel {run}")):
            await plant.engine.runs.cancel(NS, run)

    await asyncio.gather(*(cancel(run) for run in runs), hand.claim(1), plant.engine.runs.stop(runs[0]))
    await plant.tick()
    assert sorted((row.verb, row.subjects) for row in await log(plant)) == [
        (f"cancel {run}", [f"run:{run}"]) for run in runs
    ]


async def test_a_verb_for_many_has_one_row_a_transaction_with_all_that_it_was_done_to(plant: Plant) -> None:
    await plant.push(node("a"))
    runs = [await plant.trigger() for _ in range(5)]
    with doing(act("cancel_runs", details={"filter": "state=RUNNING"})):
        await plant.engine.bulk.runs(NS, "cancel", BulkRequest(filter="state=RUNNING"))
    found = await log(plant, "verb=cancel_runs")
    assert sorted(subject for row in found for subject in row.subjects) == [f"run:{run}" for run in runs]
    assert sum(row.count for row in found) == 5
    assert {row.details["filter"] for row in found} == {"state=RUNNING"}
    assert len(await log(plant, f"subject=run:{runs[2]}")) == 1


async def test_what_is_refused_or_undone_leaves_no_row_of_its_own(plant: Plant) -> None:
    await plant.push(node("a"))
    run = await plant.trigger()
    with doing(act("retry_run")), pytest.raises(Conflict, match="still running"):
        await plant.engine.runs.retry(NS, run)
    assert await log(plant) == []


async def test_a_token_is_told_of_without_its_secret(plant: Plant) -> None:
    with doing(act("create_token")):
        made = await plant.engine.tokens.create(TokenRequest(name="ci", role="operator", expires_in_s=60))
    (row,) = await log(plant, f"subject=token:{made.id}")
    assert row.details == {"name": "ci", "role": "operator", "expires_in_s": 60}


async def test_a_run_remembers_the_token_that_started_it(plant: Plant) -> None:
    await plant.push(node("a"))
    with doing(act("trigger_run", kept=False)):
        mine = await plant.trigger()
    with doing(act("trigger_run", token=0, kept=False)):
        root = await plant.trigger()
    nobodys = await plant.trigger()
    assert [(await plant.run(run)).token for run in (mine, root, nobodys)] == [3, 0, None]
    assert await log(plant) == []

    async def found(text: str) -> list[int]:
        page = await plant.engine.views.runs(NS, filter=text, limit=10, after=None)
        return sorted(run.id for run in page.items)

    assert await found("token=3") == [mine]
    assert await found("token=0,3") == [mine, root]
    assert await found("token!=3") == [root, nobodys]


async def test_triggers_have_rows_where_that_is_wanted(plant: Plant) -> None:
    await plant.push(node("a"))
    with doing(act("trigger_run")):
        run = await plant.trigger(inputs={})
        again = await plant.trigger(idempotency_key="k")
        assert await plant.trigger(idempotency_key="k") == again
    assert [(row.subjects, row.details) for row in await log(plant)] == [
        ([f"run:{made}"], {"graphs": ["sample"]}) for made in (again, run)
    ]


# --- reading ---


@pytest.fixture
async def written(plant: Plant) -> Plant:
    """Rows of two people, one each day, the newest last."""
    for day, (verb, options) in enumerate(
        [
            ("cancel_run", {"subject": "run:1"}),
            ("cancel_run", {"subject": "run:12", "name": "bert", "token": 4, "address": "::1"}),
            ("put_role", {"subject": "role:a b", "namespace": ""}),
            ("start_server", {"subject": "server:x", "token": None, "name": ""}),
        ]
    ):
        await plant.engine.audit.tell(act(verb, at=START + day * DAY, **options))
    plant.clock.advance(4 * 86_400)
    return plant


@pytest.mark.parametrize(
    ("text", "verbs"),
    [
        ("", ["start_server", "put_role", "cancel_run", "cancel_run"]),
        ("verb=cancel_run", ["cancel_run", "cancel_run"]),
        ("verb!=cancel_run", ["start_server", "put_role"]),
        ("subject=run:1", ["cancel_run"]),
        ("subject=run:1,run:12", ["cancel_run", "cancel_run"]),
        ("subject=run", []),
        ('subject="role:a b"', ["put_role"]),
        ("token=4", ["cancel_run"]),
        ("token!=3", ["start_server", "cancel_run"]),
        ("name=anna", ["put_role", "cancel_run"]),
        ("namespace=default verb!=start_server", ["cancel_run", "cancel_run"]),
        ("outcome=done", []),
        ("outcome=unchanged,refused token=4", ["cancel_run"]),
        ("address=::1", ["cancel_run"]),
        ("request=put_role", ["put_role"]),
        ("code=x", []),
        ("at>2d", ["start_server"]),
        ("at<3d", ["cancel_run"]),
        ("at>=3d at<=2d", ["put_role", "cancel_run"]),
    ],
)
async def test_a_filter_finds_what_all_its_terms_hold_for(written: Plant, text: str, verbs: list[str]) -> None:
    assert [row.verb for row in await log(written, text)] == verbs


async def test_pages_go_on_where_the_last_one_ended(written: Plant) -> None:
    seen, after = [], None
    while True:
        page = await written.engine.audit.list(filter="", limit=1, after=after)
        seen += [row.verb for row in page.items]
        after = page.after
        if after is None:
            break
    assert seen == ["start_server", "put_role", "cancel_run", "cancel_run"]


async def test_a_row_does_not_change(written: Plant) -> None:
    with pytest.raises((apsw.ConstraintError, asyncpg.RaiseError), match="do not change"):
        await written.sql("UPDATE audit SET name = 'nobody'")


# --- refusals ---


def refusal(code: str = "forbidden", **options: Any) -> Refusal:
    given = {"token": 3, "name": "anna", "namespace": NS, "verb": "cancel_run", "address": "10.0.0.7"}
    return Refusal(**{**given, **options}, code=code)


async def test_refusals_that_are_alike_are_one_row_with_their_number(plant: Plant) -> None:
    for number in range(1_000):
        plant.engine.audit.refused(refusal(), f"run:{number}", "first")
    plant.engine.audit.refused(refusal("unauthorized", token=None, name=""), "", "other")
    assert await log(plant) == []
    assert await plant.tick() <= WINDOW
    await plant.pass_time(WINDOW / SECOND)
    found = {row.code: row for row in await log(plant, "outcome=refused")}
    assert (found["forbidden"].count, found["forbidden"].subjects, found["forbidden"].token) == (1_000, ["run:0"], 3)
    assert (found["unauthorized"].count, found["unauthorized"].token) == (1, None)
    await plant.pass_time(WINDOW / SECOND)
    assert len(await log(plant)) == 2


async def test_refusals_wake_the_scheduler(plant: Plant) -> None:
    plant.engine.alarm.planned = START + 100 * WINDOW
    plant.engine.audit.refused(refusal(), "", "")
    assert plant.engine.alarm.planned == START + WINDOW


def test_a_flood_of_all_sorts_of_refusals_makes_few_rows() -> None:
    counted = Refusals()
    for number in range(5_000):
        counted.count(refusal(address=f"10.0.{number // 250}.{number % 250}"), "run:1", "r", START)
    found = rows(counted.taken())
    assert len(found) == MOST + 1
    assert sum(row.number for row in found) == 5_000
    assert (found[-1].token, found[-1].address, found[-1].code) == (None, "", "forbidden")
    assert counted.taken() == {}


async def test_refusals_that_cannot_be_written_are_counted_on(plant: Plant) -> None:
    plant.engine.audit.refused(refusal(), "", "")
    plant.clock.advance(WINDOW / SECOND)
    transact = plant.engine.store.transact

    async def away(work: Any) -> Any:
        plant.engine.audit.refused(refusal(), "", "")
        raise Unavailable("the database is away")

    plant.engine.store.transact = away  # type: ignore[method-assign]  # stands in for a database that is away
    with pytest.raises(Unavailable):
        await plant.engine.audit.tick()
    plant.engine.store.transact = transact  # type: ignore[method-assign]  # as above
    await plant.pass_time(WINDOW / SECOND)
    assert [row.count for row in await log(plant)] == [2]


async def test_a_server_that_ends_writes_down_what_it_refused(plant: Plant) -> None:
    plant.engine.audit.refused(refusal(), "", "")
    await plant.restart()
    assert [row.code for row in await log(plant)] == ["forbidden"]


# --- how long ---


@pytest.mark.parametrize(("keep", "left"), [(None, 3), (DAY, 1)])
async def test_rows_stay_as_long_as_they_are_to(plant: Plant, keep: int | None, left: int) -> None:
    audit = plant.engine.audit
    audit._keep = Auditing(keep=keep).keep
    for at in (START - 3 * DAY, START - DAY - 1, START):
        await audit.tell(act(at=at))
    await plant.tick()
    assert len(await log(plant)) == 3
    await plant.pass_time((BETWEEN - 1) / SECOND)
    assert len(await log(plant)) == 3
    await plant.pass_time(1)
    assert len(await log(plant)) == left


async def test_how_a_server_is_set_up_is_told_when_it_changes(plant: Plant) -> None:
    audit = plant.engine.audit
    for settings in ({"port": 1}, {"port": 1}, {"port": 2}, {"port": 1}):
        await audit.settings("server:a", settings)
        plant.clock.advance(1)
    await audit.settings("server:b", {"port": 1})
    assert [(row.subjects, row.details["port"]) for row in await log(plant, "verb=start_server")] == [
        *((["server:b"], 1), (["server:a"], 1), (["server:a"], 2), (["server:a"], 1))
    ]


def test_nobody_is_calling_unless_somebody_is() -> None:
    assert current() is None
    with doing(act()), doing(act(kept=False)):
        assert current() is None
    assert current() is None
