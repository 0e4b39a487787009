"""What is counted of a server, as Prometheus reads it."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from engine.plant import NS, Plant, after, completion, failure, node
from stoker.core.graph import KindSpec
from stoker.engine.ports import Reader
from stoker.errors import Unavailable
from stoker.telemetry import metrics as counting
from stoker.telemetry.metrics import OTHER, Metrics


def counted(plant: Plant, now: list[float] | None = None) -> Metrics:
    """The metrics of an installation, counting from here on."""
    engine, times = plant.engine, now or [0.0]
    found = Metrics(engine.store, engine.namespace, lambda: len(engine.sessions.connected()), lambda: times[-1])
    engine.batches.observer = found
    return found


async def samples(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    """The samples of a name, by the values of their labels in the order of the labels' names."""
    families = text_string_to_metric_families((await metrics.text()).decode())
    found = [sample for family in families for sample in family.samples if sample.name == name]
    return {tuple(sample.labels[label] for label in sorted(sample.labels)): sample.value for sample in found}


async def test_tasks_are_counted_by_kind_and_outcome_and_runs_by_their_end(plant: Plant) -> None:
    metrics = counted(plant)
    await plant.push(node("a"), node("b", after("a"), kind="many"))
    for _ in range(3):
        await plant.trigger()
    hand = plant.hand(capacity=10)
    first, second, third = await hand.claim(3)
    await hand.report(completion(first), completion(second), failure(third))
    (b, _) = await hand.claim(2)
    await hand.report(completion(b, items=[]))
    await hand.report(completion(first), completion(b, items=[]))  # settled before, so these count for nothing
    assert await samples(metrics, "stoker_tasks_settled_total") == {
        ("one", NS, "SUCCEEDED"): 2,
        ("one", NS, "FAILED"): 1,
        ("many", NS, "SUCCEEDED"): 1,
    }
    assert await samples(metrics, "stoker_runs_started_total") == {(NS,): 3}
    assert await samples(metrics, "stoker_runs_ended_total") == {(NS, "FAILED"): 1, (NS, "SUCCEEDED"): 1}
    assert await samples(metrics, "stoker_attempts_ended_total") == {("failed",): 1}


async def test_claims_hand_offs_and_lost_leases_are_counted(plant: Plant) -> None:
    metrics = counted(plant)
    await plant.push(node("a"))
    for _ in range(3):
        await plant.trigger()
    hand = plant.hand(capacity=10)
    (task,) = await hand.claim(1)
    await hand.report(completion(task), want=1)
    assert await samples(metrics, "stoker_tasks_leased_total") == {("claim",): 1, ("report",): 1}
    hand.drop()
    await plant.pass_time(30)
    assert await samples(metrics, "stoker_attempts_ended_total") == {("lost",): 1}


async def test_batches_tell_their_size_and_time_and_what_was_asked_for(plant: Plant) -> None:
    metrics = counted(plant)
    await plant.push(node("a"))
    await plant.trigger()
    await plant.trigger()
    assert (await samples(metrics, "stoker_batch_verbs_sum"))[()] == 2
    assert (await samples(metrics, "stoker_batch_seconds_count"))[()] == 2
    assert await samples(metrics, "stoker_verbs_total") == {("trigger",): 2}
    assert (await samples(metrics, "stoker_statements_total"))[()] == plant.engine.store.statements


async def test_what_waits_is_looked_up_when_asked_for_and_not_again_at_once(plant: Plant) -> None:
    now = [0.0]
    metrics = counted(plant, now)
    await plant.push(node("a"), node("b", kind="many"))
    await plant.trigger()
    await plant.trigger()
    await plant.hand().claim(0)
    ready = await samples(metrics, "stoker_tasks_ready")
    assert {(kind, namespace): count for (kind, _, namespace), count in ready.items()} == {
        ("one", NS): 2,
        ("many", NS): 2,
    }
    assert await samples(metrics, "stoker_sessions") == {(): 1}
    reads = plant.reads
    await plant.trigger()
    assert await samples(metrics, "stoker_tasks_ready") == ready
    assert plant.reads == reads
    now.append(counting.FRESH_S)
    assert sum((await samples(metrics, "stoker_tasks_ready")).values()) == 6
    assert plant.reads == reads + 1


async def test_a_database_that_does_not_answer_is_told_and_fails_nothing(plant: Plant) -> None:
    metrics = counted(plant)
    assert await samples(metrics, "stoker_database_up") == {(): 1}

    async def refuse(work: Any) -> Any:
        raise Unavailable("gone")

    plant.engine.store.read = refuse  # type: ignore[method-assign]
    metrics = counted(plant)
    assert await samples(metrics, "stoker_database_up") == {(): 0}
    assert await samples(metrics, "stoker_tasks_ready") == {}


async def test_kinds_beyond_the_bound_are_counted_together(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "MOST_KINDS", 2)
    metrics = counted(plant)
    kinds = tuple(KindSpec(name=f"kind-{number}") for number in range(4))
    await plant.push(*(node(f"n{number}", kind=kind.name) for number, kind in enumerate(kinds)), kinds=kinds)
    await plant.trigger()
    hand = plant.hand(kinds=tuple(kind.name for kind in kinds), capacity=10)
    await hand.report(*(completion(task) for task in await hand.claim(10)))
    settled = await samples(metrics, "stoker_tasks_settled_total")
    assert len(settled) == 3
    assert settled[OTHER, OTHER, "SUCCEEDED"] == 2


async def test_an_observer_that_fails_fails_no_call(plant: Plant, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def committed(self, *_: Any) -> None:
            raise RuntimeError("oops")

    plant.engine.batches.observer = Broken()
    await plant.push(node("a"))
    await plant.trigger()
    assert await plant.engine.store.read(_count_runs) == 1
    assert "a batch could not be observed" in caplog.text


async def _count_runs(reader: Reader) -> int:
    return len(await reader.runs(range(1, 10)))
