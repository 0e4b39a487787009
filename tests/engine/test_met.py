"""Features that meet: what one of them deletes, hides or makes again, another one still tells right."""

from __future__ import annotations

import apsw
import pytest

from engine.plant import NS, Plant, node
from stoker.core.schedule_views import RunNowRequest, ScheduleSpec
from stoker.errors import Conflict
from stoker.storage import queries

HOURLY = ScheduleSpec(graph="sample", every="1h")


async def test_the_runs_of_a_deleted_schedule_are_never_those_of_the_next_one(plant: Plant) -> None:
    await plant.push(node("a"))
    schedules, keyed = plant.engine.schedules, RunNowRequest(idempotency_key="once")
    await schedules.put(NS, "old", HOURLY)
    run = (await schedules.run(NS, "old", keyed)).id
    assert (await plant.run(run)).schedule == "old"
    await schedules.delete(NS, "old")
    await schedules.put(NS, "new", HOURLY)
    assert (await plant.run(run)).schedule is None
    with pytest.raises(Conflict, match="once"):
        await schedules.run(NS, "new", keyed)


def test_so_it_is_with_schedules_from_before() -> None:
    connection = apsw.Connection(":memory:")
    for _, name, sql in queries.migrations("sqlite"):
        if name.endswith("schedule_ids.sql"):
            connection.execute("INSERT INTO schedule VALUES (3, 1, 'kept', '{}', 0, 0, NULL)")
            run = (
                "INSERT INTO run (id, namespace, version, state, stopping, priority, last_order_at, open, tasks, failed"
            )
            connection.execute(f"{run}, created_at, schedule) VALUES (1, 1, 1, 2, 0, 5, 0, 0, 0, 0, 0, 7)")
        connection.execute(sql)
    assert list(connection.execute("SELECT name, next FROM sequence")) == [("schedule", 8)]
    connection.close()
