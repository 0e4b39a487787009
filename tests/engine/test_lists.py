"""Lists by filter: on real rows of every sort, against a plain look at all of them."""

from __future__ import annotations

import operator
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from engine import plant as plants
from engine.plant import NS, Plant, after, completion, failure, node
from engine.test_audit import act
from stoker.core.filter import Moment, Term, render
from stoker.core.graph import Element
from stoker.core.protocol import Assignment, ErrorInfo, Fail, Prune
from stoker.core.run_filter import FIELDS, run_terms
from stoker.core.views import RunView, TaskView
from stoker.engine import lists
from stoker.engine.acting import doing
from stoker.engine.catalog import when
from stoker.errors import Invalid, NotFound

STEPS = ["leave", "complete", "leave", "fail", "cancel", "leave", "fail", "stop"]
COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


async def found(plant: Plant, text: str, limit: int = 3) -> list[RunView]:
    """All runs that a filter asks for, page by page."""
    seen: list[RunView] = []
    cursor: str | None = None
    while True:
        page = await plant.engine.views.runs(NS, filter=text, limit=limit, after=cursor)
        seen += page.items
        cursor = page.after
        if cursor is None:
            return seen


async def ids(plant: Plant, text: str) -> set[int]:
    return {view.id for view in await found(plant, text)}


async def populated(plant: Plant, runs: int = 40, seed: int = 7) -> list[RunView]:
    """Runs of three graph versions in every state, with and without tags and keys."""
    random = Random(seed)
    await plant.push(node("a"), name="nightly")
    await plant.push(node("a"), node("b", after("a")), name="nightly")
    await plant.push(node("a", tolerated=True), name="other")
    hand = plant.hand(capacity=100)
    for number in range(runs):
        tags = {name: random.choice("xy") for name in ("team", "stage") if random.random() < 0.5}
        key = f"key {number}" if random.random() < 0.3 else None
        graph, version = random.choice([("nightly", 1), ("nightly", 2), ("other", 1)])
        options: dict[str, Any] = {"priority": random.randrange(10), "tags": tags, "idempotency_key": key}
        with doing(act("trigger_run", token=number % 4, kept=False)):
            run = await plant.trigger(graph, version=version, **options)
        plant.clock.advance(random.choice([0, 3600]))
        match STEPS[number % len(STEPS)]:
            case "complete":
                while tasks := await hand.claim(100):
                    await hand.report(*(completion(task) for task in tasks))
            case "fail":
                await hand.report(*(failure(task) for task in await hand.claim(100)))
            case "cancel":
                await plant.engine.runs.cancel(NS, run)
                await plant.tick()
            case "stop":
                await plant.engine.runs.cancel(NS, run)
            case _:
                pass
    views = await found(plant, "", limit=100)
    assert {view.state for view in views} == {"RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"}
    assert any(view.stopping for view in views)
    return [await plant.run(view.id) for view in views]


def holds(view: RunView, term: Term) -> bool:
    """What a term means, said without any of the code under test."""
    field = term.field
    value: Any = view.tags.get(field[4:]) if field.startswith("tag.") else None
    if not field.startswith("tag."):
        value = {
            "created": view.created_at,
            "ended": view.ended_at,
            "key": view.idempotency_key,
            "stopping": "yes" if view.stopping else "no",
        }.get(field, getattr(view, field, None))
    if term.operator in ("=", "!="):
        return (value in term.values) is (term.operator == "=")
    (bound,) = term.values
    if isinstance(bound, Moment):
        bound = NOW - timedelta(microseconds=bound.micros)  # type: ignore[assignment]
    return value is not None and COMPARE[term.operator](value, bound)


NOW = when(plants.START)  # set to the plant's time by the test


def drawn(random: Random, views: list[RunView]) -> list[Term]:
    terms = []
    for name in random.sample(sorted(FIELDS.keys() - {"root"}), random.choice([1, 1, 2, 3])):
        equal = random.choice(["=", "=", "!="])
        span = random.choice(["<", "<=", ">", ">="])
        match name:
            case "state":
                term = Term(name, equal, tuple(random.sample(FIELDS[name].words, random.choice([1, 2, 3]))))
            case "stopping":
                term = Term(name, equal, (random.choice(["yes", "no"]),))
            case "graph":
                term = Term(name, equal, (random.choice(["nightly", "other", "none"]),))
            case "tag.":
                name = f"tag.{random.choice(['team', 'stage'])}"
                term = Term(name, equal, tuple(random.sample("xyz", random.choice([1, 2]))))
            case "token":
                term = Term(name, equal, tuple(random.sample(range(5), random.choice([1, 2]))))
            case "key":
                term = Term(name, equal, tuple(f"key {random.randrange(40)}" for _ in range(8)))
            case "created" | "ended":
                hours = random.randrange(30)
                term = Term(name, span, (Moment(f"{hours}h", hours * 3_600_000_000, ago=True),))
            case _:
                values = {"id": [view.id for view in views], "version": [1, 2, 3]}.get(name, range(10))
                few = tuple(random.sample(list(values), 3 if name != "version" else 1))
                term = Term(name, equal, few) if random.random() < 0.5 else Term(name, span, few[:1])
        terms.append(term)
    return terms


async def test_a_filter_finds_what_a_look_at_every_run_finds(plant: Plant) -> None:
    views = await populated(plant)
    global NOW
    NOW = when(plant.clock.now())
    random = Random(3)
    for _ in range(250):
        terms = drawn(random, views)
        text = render(terms)
        expected = [view.id for view in views if all(holds(view, term) for term in terms)]
        assert [view.id for view in await found(plant, text, random.choice([1, 3, 50]))] == expected, text


async def test_runs_that_go_on_are_found_by_the_page_when_there_are_many(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = await populated(plant)
    expected = [view.id for view in views if view.state != "SUCCEEDED"]
    for most in (1, 1_000):
        monkeypatch.setattr(lists, "FEW_RUNNING", most)
        assert [view.id for view in await found(plant, "state!=SUCCEEDED")] == expected


async def test_every_run_that_goes_on_is_known_by_what_it_has_to_do(plant: Plant) -> None:
    views = await populated(plant)
    await plant.push(node("a"), node("b", after("a", ()), bind={"n": Element(of="a")}), name="wide")
    wide = await plant.trigger("wide")
    hand = plant.hand(capacity=100)
    while tasks := await hand.claim(100):
        await hand.report(*(completion(task, list(range(2_500)) if task.run == wide else 1) for task in tasks))
        if any(task.run == wide for task in tasks):
            break
    await plant.push(node("a"), name="stays", mode="live")
    live = await plant.trigger("stays")
    while tasks := await hand.claim(100):
        await hand.report(*(completion(task) for task in tasks))
    assert (await plant.run(live)).state == "RUNNING"
    known = set(await plant.engine.store.read(lambda reader: reader.ids("running_runs", 1_000, 1)))
    running = {view.id for view in await found(plant, "", 100) if view.state == "RUNNING"}
    assert {wide, live} <= running
    assert running <= known
    assert len(views) + 1 >= len(running)


async def test_every_run_that_ended_badly_is_in_the_index_of_the_troubled(plant: Plant) -> None:
    views = await populated(plant)
    bad = {view.id for view in views if view.state in ("FAILED", "CANCELLED")}
    rows = await plant.sql("SELECT id FROM run WHERE failed > 0 OR cancel_at IS NOT NULL")
    assert bad <= {id_ for (id_,) in rows}


async def test_the_shorthands_are_further_terms(plant: Plant) -> None:
    views = await populated(plant)
    page = await plant.engine.views.runs(NS, filter="graph=nightly", state="failed", limit=100, after=None)
    assert {view.id for view in page.items} == {
        view.id for view in views if (view.graph, view.state) == ("nightly", "FAILED")
    }
    with pytest.raises(Invalid):
        await plant.engine.views.runs(NS, state="LOST", limit=100, after=None)


async def test_ids_and_keys_narrow_each_other(plant: Plant) -> None:
    await plant.push(node("a"))
    one, two = [await plant.trigger(idempotency_key=key) for key in ("k", "l")]
    assert await ids(plant, f"id={one},{two} key=k") == {one}
    assert await ids(plant, f"id={two} key=k") == set()
    assert await ids(plant, f"id={two} key=k,l") == {two}


async def test_other_namespaces_are_not_looked_into(plant: Plant) -> None:
    await plant.push(node("a"))
    run = await plant.trigger(tags={"team": "x"}, idempotency_key="k")
    await plant.engine.catalog.put_kinds("elsewhere", [])
    for text in ("", "state=RUNNING", "state=FAILED,RUNNING", f"id={run}", "key=k", "tag.team=x", "graph=sample"):
        page = await plant.engine.views.runs("elsewhere", filter=text, limit=5, after=None)
        assert (text, page.items) == (text, [])
        assert await ids(plant, text) == {run}


async def test_a_text_that_no_database_keeps_is_the_name_of_nothing(plant: Plant) -> None:
    await plant.push(node("a"))
    await plant.trigger(tags={"team": "x"})
    for text in ('graph="a\0b"', 'tag.team="\0"', 'tag."\0"=x', 'key="\0"'):
        assert await found(plant, text) == []


@pytest.mark.parametrize("text", ["stat=FAILED", "id>" + "9" * 30, 'graph="'])
async def test_a_filter_that_is_not_understood_is_refused(plant: Plant, text: str) -> None:
    await plant.push(node("a"))
    run = await plant.trigger()
    with pytest.raises(Invalid, match="filter, character"):
        await plant.engine.views.runs(NS, filter=text, limit=5, after=None)
    with pytest.raises(Invalid):
        await plant.engine.views.tasks(NS, run, filter=text, limit=5, after=None)


# --- tasks of a run ---


def failed(task: Assignment, code: str) -> Fail:
    return Fail(task=task.task, attempt=task.attempt, error=ErrorInfo(code=code, message="no"))


async def tasks(plant: Plant, run: int, text: str, limit: int = 2) -> list[TaskView]:
    seen: list[TaskView] = []
    cursor: str | None = None
    while True:
        page = await plant.engine.views.tasks(NS, run, filter=text, limit=limit, after=cursor)
        seen += page.items
        cursor = page.after
        if cursor is None:
            return seen


async def test_tasks_are_filtered_by_what_they_are(plant: Plant) -> None:
    await plant.push(
        node("a"),
        node("b", after("a", ()), bind={"n": Element(of="a")}, kind="many", retry=None, max_losses=3),
        node("c", after("a")),
    )
    run = await plant.trigger()
    hand = plant.hand(capacity=100)
    first = await hand.claim(1)
    plant.clock.advance(19)
    await hand.complete(*first, [1, 2, 3, 4, 5])
    held = await hand.claim(100)
    one, two, three, *rest = sorted((task for task in held if task.node == "b"), key=lambda task: task.branch)
    await hand.report(failed(one, "disk"), failed(two, "net"), Prune(task=three.task, attempt=1))
    hand.drop()
    await plant.pass_time(21)
    (lost,) = await plant.hand().claim(1)
    every = await tasks(plant, run, "")
    assert len(every) == 7
    texts: dict[str, Any] = {
        "state=FAILED": lambda task: task.state == "FAILED",
        "state!=FAILED,PRUNED": lambda task: task.state not in ("FAILED", "PRUNED"),
        "node=b": lambda task: task.node == "b",
        "node!=b": lambda task: task.node != "b",
        "kind=many state=READY": lambda task: (task.kind, task.state) == ("many", "READY"),
        "code=disk,net": lambda task: task.code in ("disk", "net"),
        "code!=disk state=FAILED": lambda task: task.code == "net",
        "attempt>1": lambda task: task.attempt > 1,
        "attempt=1,2 attempt!=2": lambda task: task.attempt == 1,
        "losses>=1": lambda task: task.losses >= 1,
        "failures=1": lambda task: task.failures == 1,
        "created>30s": lambda task: task.node != "a",
        f"id={one.task},{lost.task} id!={one.task}": lambda task: task.id == lost.task,
        f"id>{one.task} id<={two.task}": lambda task: one.task < task.id <= two.task,
    }
    for text, means in texts.items():
        expected = [task.id for task in every if means(task)]
        assert [task.id for task in await tasks(plant, run, text)] == expected, text
        assert 0 < len(expected) < 7, text
    assert rest


async def test_a_node_that_is_misspelt_is_an_error_and_not_an_empty_list(plant: Plant) -> None:
    await plant.push(node("a"))
    run = await plant.trigger()
    for options in ({"filter": "node=x"}, {"node": "x"}):
        with pytest.raises(NotFound, match="has no node 'x'") as caught:
            await plant.engine.views.tasks(NS, run, limit=5, after=None, **options)
        assert "'a'" in caught.value.remedy


def test_the_terms_of_the_test_are_terms() -> None:
    for seed in range(50):
        terms = tuple(drawn(Random(seed), [view_of(number) for number in range(5)]))
        assert run_terms(render(terms)) == terms


def view_of(number: int) -> RunView:
    return RunView(
        id=number + 1,
        namespace=NS,
        graph="g",
        version=1,
        state="RUNNING",
        stopping=False,
        priority=5,
        weight=1,
        created_at=NOW,
    )
