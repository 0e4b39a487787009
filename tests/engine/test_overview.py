"""Runs counted, drawn and opened state by state: three looks that say the same, after all that can happen to a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.player import slices_of
from engine.chaos import Chaos
from engine.overlook import agree, opens
from engine.plant import KINDS, NS, Plant, after, completion, join, node
from stoker.api.dialects.exosphere.ids import StateId
from stoker.api.dialects.exosphere.states import RUN_STATUS
from stoker.core.graph import GraphSpec, Retry
from stoker.core.keep_views import KeepSpec
from stoker.core.model import SLICE
from stoker.core.overview import outcome
from stoker.core.protocol import Prune
from stoker.core.views import PushRequest
from stoker.errors import Conflict


class Looking(Chaos):
    """Random runs that are looked at between the rounds."""

    async def round(self) -> None:
        await super().round()
        if self.dice.random() < 0.2:
            await agree(self.plant, opened=self.dice.choice((0, 0, 40)))


async def looked_at(seed: int, folder: Path, database: str | None = None) -> None:
    looking = Looking(seed, folder, database)
    await looking.plant.start()
    try:
        with slices_of((1, 1, 1, SLICE)[seed % 4]):
            await looking.start()
            for _ in range(30):
                await looking.round()
            await looking.finish()
            await agree(looking.plant)
    finally:
        await looking.plant.stop()


@pytest.mark.parametrize("seed", range(3))
async def test_counts_pictures_and_states_agree_whatever_happens(tmp_path: Path, seed: int) -> None:
    await looked_at(seed, tmp_path / "data")


@pytest.mark.parametrize("seed", [100])
async def test_so_they_do_on_postgres(tmp_path: Path, database: str, seed: int) -> None:
    await looked_at(seed, tmp_path / "data", database)


async def statuses(plant: Plant, run: int) -> list[str]:
    return sorted(state.status for state in (await agree(plant))[run].states)


async def counts(plant: Plant) -> list[tuple[int, int, int, int, str]]:
    lines = (await plant.engine.overview.page(NS, skip=0, limit=10)).lines
    return [
        (c.well, c.live, c.bad, c.followed, RUN_STATUS[outcome(line.run, c)]) for line in lines for c in (line.counts,)
    ]


ONCE_MORE = Retry(attempts=3, strategy="fixed", base=1)


async def test_a_failing_task_shows_each_attempt_that_another_followed(plant: Plant) -> None:
    await plant.push(node("a", retry=ONCE_MORE))
    run, hand = await plant.trigger(), plant.hand()
    for number in range(3):
        (task,) = await hand.claim()
        assert await statuses(plant, run) == ["QUEUED"] + ["RETRY_CREATED"] * number
        await hand.fail(task, f"failure {number}")
        await agree(plant)
        await plant.pass_time(2)
    seen = (await agree(plant))[run]
    assert [(state.status, state.error) for state in seen.states] == [
        ("RETRY_CREATED", "failure 0"),
        ("RETRY_CREATED", "failure 1"),
        ("ERRORED", "failure 2"),
    ]
    assert await counts(plant) == [(0, 0, 1, 2, "FAILED")]
    assert seen.roots == seen.states


async def test_what_was_given_back_is_not_shown(plant: Plant) -> None:
    await plant.push(node("a"))
    run, hand = await plant.trigger(), plant.hand()
    (task,) = await hand.claim()
    await hand.plant.engine.leases.leave(NS, hand.secret)
    seen = (await agree(plant))[run]
    assert [state.id for state in seen.states] == [StateId(task.task, 2)]
    assert await opens(plant, StateId(task.task, 1)) is None


async def test_a_leaf_with_ten_items_counts_ten(plant: Plant) -> None:
    await plant.push(node("a", kind="many"))
    run, hand = await plant.trigger(), plant.hand()
    (task,) = await hand.claim()
    await hand.complete(task, items=list(range(10)))
    assert await statuses(plant, run) == ["SUCCESS"] * 10
    assert await counts(plant) == [(10, 0, 0, 0, "SUCCESS")]
    assert await opens(plant, StateId(task.task, 1, 10)) is None


async def edges(plant: Plant, run: int) -> set[tuple[str, str]]:
    """Edges by name: a node, the item behind a dot, the attempt behind a bang."""
    seen = (await agree(plant))[run]
    graph = (await plant.engine.overview.run(NS, run)).graph
    names = {}
    for state in seen.states:
        later = f"!{state.id.attempt}" if state.id.attempt > 1 else ""
        branch = ",".join(str(each[-1]) for each in [state.task.branch] if each)
        names[state.id] = f"{graph.nodes[state.task.node].name}{branch}.{state.id.item}{later}"
    return {(names[source], names[target]) for source, target in seen.edges}


async def test_edges_lead_from_the_item_that_made_a_task_and_to_each_of_its_attempts(plant: Plant) -> None:
    await plant.push(
        node("s", kind="many"),
        node("b", after("s"), retry=ONCE_MORE),
        node("m", join("b", anchor="s")),
    )
    run, hand = await plant.trigger(), plant.hand()
    await hand.complete(*await hand.claim(), items=[0, 1])
    first, second = await hand.claim(2)
    await hand.complete(first)
    await hand.fail(second)
    assert await edges(plant, run) == {("s.0", "b0.0"), ("s.1", "b1.0"), ("s.1", "b1.0!2")}
    await plant.pass_time(2)
    await hand.complete(*await hand.claim())
    await hand.complete(*await hand.claim())
    assert {edge for edge in await edges(plant, run) if edge[1] == "m.0"} == {("b0.0", "m.0"), ("b1.0!2", "m.0")}


async def test_a_join_that_no_branch_reached_hangs_on_the_items_of_its_anchor(plant: Plant) -> None:
    await plant.push(node("s", kind="many"), node("b", after("s")), node("m", join("b", anchor="s")))
    run, hand = await plant.trigger(), plant.hand()
    await hand.complete(*await hand.claim(), items=[0, 1])
    for task in await hand.claim(2):
        await hand.fail(task, retryable=False)
    assert {edge for edge in await edges(plant, run) if edge[1] == "m.0"} == {("s.0", "m.0"), ("s.1", "m.0")}
    assert await counts(plant) == [(2 + 1, 0, 2, 0, "FAILED")]


async def test_a_stopping_run_shows_what_waits_as_cancelled_before_it_is_swept(plant: Plant) -> None:
    with slices_of(2):
        await plant.push(node("s", kind="many"), node("b", after("s")))
        run, hand = await plant.trigger(), plant.hand()
        await hand.complete(*await hand.claim(), items=list(range(6)))
        (held,) = await hand.claim()
        await plant.engine.runs.cancel(NS, run)
        seen = (await agree(plant))[run]
        assert {state.error for state in seen.states if state.status == "ERRORED"} == {"cancelled"}
        assert await counts(plant) == [(6, 1, 5, 0, "PENDING")]
        await plant.tick()
        assert await counts(plant) == [(6, 1, 5, 0, "PENDING")]
        for _ in range(3):
            await hand.beat()
            await plant.pass_time(11)
        assert await counts(plant) == [(6, 0, 6, 0, "FAILED")]
        (late,) = [state for state in (await agree(plant))[run].states if state.id.task == held.task]
        assert late.error == "cancelled, unconfirmed"


async def test_failures_that_are_tolerated_are_errors_of_a_run_that_succeeds(plant: Plant) -> None:
    await plant.push(node("a", tolerated=True, retry=Retry(attempts=1)), node("b"))
    run, hand = await plant.trigger(), plant.hand()
    first, second = await hand.claim(2)
    assert (first.node, second.node) == ("a", "b")
    await hand.fail(first)
    await hand.complete(second)
    assert await counts(plant) == [(1, 0, 1, 0, "SUCCESS")]
    assert await statuses(plant, run) == ["ERRORED", "SUCCESS"]


async def test_an_attempt_that_was_retried_by_hand_stays_to_be_seen(plant: Plant) -> None:
    await plant.push(node("a"), node("b", join("a")))
    run, hand = await plant.trigger(), plant.hand()
    (task,) = await hand.claim()
    await hand.report(Prune(task=task.task, attempt=task.attempt))
    assert await counts(plant) == [(2, 0, 0, 0, "SUCCESS")]
    answer = await plant.engine.runs.retry_task(NS, task.task, attempt=1, key="again")
    assert (answer.attempt, answer.fired_tasks) == (2, [])
    assert await counts(plant) == [(0, 1, 0, 1, "PENDING")]
    assert await statuses(plant, run) == ["CREATED", "RETRY_CREATED"]
    assert await opens(plant, StateId(task.task, 1)) is not None


async def refusal(plant: Plant, task: int, **options: Any) -> str:
    with pytest.raises(Conflict) as refused:
        await plant.engine.runs.retry_task(NS, task, **options)
    return refused.value.code


async def test_a_retry_with_a_key_is_done_once_and_only_of_the_last_attempt(plant: Plant) -> None:
    await plant.push(node("a", retry=Retry(attempts=1)))
    await plant.trigger()
    hand = plant.hand()
    (task,) = await hand.claim()
    await hand.fail(task)
    assert await refusal(plant, task.task, attempt=2) == "attempt_followed"
    await plant.engine.runs.retry_task(NS, task.task, attempt=1, key="k")
    assert await refusal(plant, task.task, attempt=1) == "attempt_followed"
    assert await refusal(plant, task.task, attempt=2) == "not_settled"
    (again,) = await hand.claim()
    await hand.fail(again)
    assert await refusal(plant, task.task, attempt=2, key="k") == "duplicate_retry"
    answer = await plant.engine.runs.retry_task(NS, task.task, attempt=2, key="l")
    assert answer.attempt == 3


async def test_a_retry_names_the_tasks_of_joins_that_have_fired(plant: Plant) -> None:
    await plant.push(node("s", kind="many"), node("b", after("s")), node("m", join("b", anchor="s", policy="all_done")))
    run, hand = await plant.trigger(), plant.hand()
    await hand.complete(*await hand.claim(), items=[0, 1])
    first, second = await hand.claim(2)
    await hand.fail(first, retryable=False)
    await hand.complete(second)
    await hand.complete(*await hand.claim())
    answer = await plant.engine.runs.retry_task(NS, first.task)
    (m,) = await plant.tasks(run, "m")
    assert [(each.task, each.attempt) for each in answer.fired_tasks] == [(m.id, 1)]
    assert answer.fired == ["m"]


async def test_the_total_of_a_namespace_follows_what_comes_and_goes(plant: Plant) -> None:
    await plant.push(node("a"))
    graph = GraphSpec(name="sample", nodes=(node("a"),))
    await plant.engine.catalog.push("other", PushRequest(graph=graph, kinds=KINDS))
    runs = [await plant.trigger() for _ in range(5)]
    assert (await plant.engine.overview.page("other", skip=0, limit=10)).total == 0
    hand = plant.hand()
    await hand.report(*(completion(task) for task in await hand.claim(3)))
    plant.clock.advance(60)
    await plant.engine.retention.put(NS, KeepSpec(age="30s"))
    while await plant.engine.retention.tick():
        pass
    page = await plant.engine.overview.page(NS, skip=1, limit=10)
    assert (page.total, [line.run.id for line in page.lines]) == (2, [runs[3]])
    await agree(plant)
