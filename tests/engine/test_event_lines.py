"""What happens to runs and tasks, as the server's log tells it."""

from __future__ import annotations

import logging

import pytest

from engine.plant import Plant, failure, node
from stoker.telemetry.events import Events


async def test_what_goes_wrong_is_a_line_with_ids_and_what_goes_well_is_none(
    plant: Plant, caplog: pytest.LogCaptureFixture
) -> None:
    plant.engine.batches.observer = Events()
    caplog.set_level(logging.INFO, "stoker.events")
    await plant.push(node("a"))
    good, bad = await plant.trigger(), await plant.trigger()
    hand = plant.hand(capacity=2)
    first, second = await hand.claim(2)
    await hand.complete(first)
    assert not caplog.records
    hand.drop()
    await plant.pass_time(30)
    (again,) = await hand.claim(2)
    await hand.report(failure(again, "no disk"))
    lost, failed, ended = caplog.records
    assert (lost.levelno, failed.levelno) == (logging.WARNING, logging.INFO)
    assert lost.getMessage().startswith(f"task {second.task} (a), attempt 1: lost: ")
    assert failed.getMessage() == f"task {second.task} (a), attempt 2: failed: no disk"
    told = {name: getattr(failed, name) for name in ("event", "run", "task", "attempt", "node", "code")}
    assert told == {
        "event": "attempt.failed",
        "run": bad,
        "task": second.task,
        "attempt": 2,
        "node": "a",
        "code": "error",
    }
    assert (ended.getMessage(), ended.event) == (f"run {bad} is FAILED", "run.failed")  # type: ignore[attr-defined]  # carried
    caplog.set_level(logging.DEBUG, "stoker.events")
    caplog.clear()
    assert good
    await plant.trigger()
    await hand.complete(*(await hand.claim()))
    assert [getattr(record, "event", "") for record in caplog.records] == ["run.started", "run.succeeded"]
