"""Nodes whose kind is of another namespace: offered and reported on there, seen and cancelled where their run is."""

from __future__ import annotations

from typing import Any

import pytest

from engine.plant import NS, Plant, after, completion, node
from stoker.core.graph import GraphSpec, KindSpec, NodeSpec
from stoker.core.own_claim import OwnClaim, OwnTask
from stoker.core.protocol import Assignment, ClaimRequest, Held, Release, ReportRequest, RunnerInfo
from stoker.core.views import PushRequest
from stoker.errors import Invalid, NotFound

THERE = "elsewhere"
SECRET = "ab" * 16


async def ready(plant: Plant, *nodes: NodeSpec, kinds: tuple[KindSpec, ...] = (KindSpec(name="one"),)) -> int:
    await plant.engine.catalog.put_kinds(THERE, kinds)
    await plant.push(
        *(nodes or (node("a", namespace=THERE), node("b", after("a")), node("c", after("b"), namespace=THERE)))
    )
    return await plant.trigger()


async def own(plant: Plant, namespace: str) -> list[OwnTask]:
    return await plant.engine.own.claim(namespace, OwnClaim(name="sdk", kinds=("one",), lease_s=60, want=9))


async def native(plant: Plant, namespace: str) -> list[Assignment]:
    request = ClaimRequest(session=SECRET, runner=RunnerInfo(name="there", kinds=["one"]), want=9)
    return (await plant.engine.leases.claim(namespace, request, frozenset())).tasks


async def test_tasks_are_claimed_and_reported_where_their_kind_is(plant: Plant) -> None:
    run = await ready(plant)
    for namespace, other in ((THERE, NS), (NS, THERE), (THERE, NS)):
        assert await own(plant, other) == []
        (task,) = await own(plant, namespace)
        held = Held(task=task.task.id, attempt=1)
        assert (await plant.engine.own.report(other, completion(held))).reason == "unknown"
        ((wrong,), (right,)) = [await plant.engine.own.standing(each, [(held.task, 1)]) for each in (other, namespace)]
        assert (wrong.reason, right.reason) == ("unknown", "")
        assert (await plant.engine.own.report(namespace, completion(held))).accepted
    assert await plant.states(run) == ["SUCCEEDED"] * 3
    assert (await plant.run(run)).state == "SUCCEEDED"


async def test_native_runners_there_are_handed_such_tasks_and_those_here_are_not(plant: Plant) -> None:
    run = await ready(plant, node("a", namespace=THERE), node("b", after("a")))
    hand = plant.hand()
    assert await hand.claim() == []
    (task,) = await native(plant, THERE)
    assert (await hand.report(completion(task)))[0].status == "refused"
    body = b"".join([part async for part in await plant.engine.leases.input(THERE, SECRET, task.task, task.attempt)])
    assert body == b"{}"
    request = ReportRequest(session=SECRET, reports=[completion(task)])
    assert [each.status for each in (await plant.engine.leases.report(THERE, request)).receipts] == ["accepted"]
    assert len(await hand.claim()) == 1
    assert await plant.states(run) == ["SUCCEEDED", "LEASED"]


async def test_the_run_is_seen_and_cancelled_where_it_is_alone(plant: Plant) -> None:
    run = await ready(plant)
    (task,) = await own(plant, THERE)
    with pytest.raises(NotFound):
        await plant.engine.views.task(THERE, task.task.id)
    with pytest.raises(NotFound):
        await plant.engine.runs.cancel(THERE, run)
    await plant.engine.runs.cancel(NS, run)
    told = await plant.engine.own.report(THERE, Release(task=task.task.id, attempt=1))
    assert told.reason == "run_closed"


async def test_a_restarted_server_knows_where_tasks_are_offered(plant: Plant) -> None:
    run = await ready(plant)
    await plant.restart()
    (task,) = await own(plant, THERE)
    assert (await plant.engine.own.report(THERE, completion(Held(task=task.task.id, attempt=1)))).accepted
    assert await plant.states(run) == ["SUCCEEDED", "READY"]


async def test_a_kind_is_that_of_its_namespace_though_both_have_one_of_the_name(plant: Plant) -> None:
    text = KindSpec(name="one", output={"type": "string"})
    await ready(plant, node("a", namespace=THERE), kinds=(text,))
    (task,) = await own(plant, THERE)
    told = await plant.engine.own.report(THERE, completion(Held(task=task.task.id, attempt=1), 7))
    assert told.reason == "invalid_output"


async def test_the_namespace_of_the_graph_itself_need_not_be_said(plant: Plant) -> None:
    await plant.push(node("a", namespace=NS))
    await plant.push(node("a"))
    assert (await plant.engine.catalog.graph(NS, "sample", None)).version == 1


@pytest.mark.parametrize("namespace", [THERE, "nowhere"])
async def test_a_kind_that_is_not_there_is_refused_by_the_name_of_both(plant: Plant, namespace: str) -> None:
    await plant.engine.catalog.put_kinds(THERE, [KindSpec(name="other")])
    with pytest.raises(Invalid) as refused:
        await plant.push(node("a", namespace=namespace))
    (problem,) = refused.value.problems
    assert (problem.code, problem.place) == ("unknown_kind", "node 'a'")
    assert f"no kind 'one' is registered in the namespace {namespace!r}" in problem.message


@pytest.mark.parametrize("wrong", [{"namespace": THERE}, {"lease": "soon"}, {"lease": 0}])
async def test_a_kind_does_not_say_itself_where_it_is_nor_has_a_lease_that_is_none(
    plant: Plant, wrong: dict[str, Any]
) -> None:
    kind = KindSpec(name="one", **wrong)
    with pytest.raises(Invalid):
        await plant.engine.catalog.put_kinds(NS, [kind])
    with pytest.raises(Invalid):
        await plant.engine.catalog.push(NS, PushRequest(graph=GraphSpec(name="g", nodes=(node("a"),)), kinds=(kind,)))


async def test_explain_looks_for_runners_where_the_kind_is(plant: Plant) -> None:
    run = await ready(plant)
    (task,) = await plant.tasks(run)
    told = await plant.engine.views.explain_task(NS, task.id)
    assert "no connected runner offers the kind 'one'" in told.because
    assert told.remedy.startswith("Start one: `stoker runner start FILE --namespace elsewhere`")
    await plant.hand().claim()
    assert "no connected runner offers the kind 'one'" in (await plant.engine.views.explain_task(NS, task.id)).because
