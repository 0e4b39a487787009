"""What every look at runs must agree on, whatever has happened to them."""

from __future__ import annotations

from collections import Counter
from typing import Any

from engine.plant import NS, Plant
from stoker.api.dialects.exosphere.picture import Picture, picture
from stoker.api.dialects.exosphere.states import CREATED, ERRORED, PRUNED, QUEUED, RETRY_CREATED, SUCCESS, State, own
from stoker.engine.overview import Line


async def agree(plant: Plant, *, opened: int = 10_000) -> dict[int, Picture]:
    """The page of runs, their pictures and single states say the same. `opened`: how many states of each are opened."""
    await plant.settled()
    page = await plant.engine.overview.page(NS, skip=0, limit=100)
    assert [(page.total,)] == await plant.sql("SELECT COUNT(*) FROM run WHERE namespace > 0 AND root IS NULL")
    assert page.total == len(page.lines)
    found = {}
    for line in page.lines:
        drawn = await plant.engine.overview.run(NS, line.run.id)
        seen = found[line.run.id] = picture(drawn)
        _counts_agree(line, seen)
        unmade = await plant.sql("SELECT COALESCE(SUM(tasks), 0) FROM spread WHERE run = ?", line.run.id)
        assert sum(seen.summary.values()) == len(seen.states) + unmade[0][0]
        if not unmade[0][0]:
            assert Counter(state.status for state in seen.states) == +Counter(seen.summary)
        ids = [state.id for state in seen.states]
        assert len({*ids}) == len(ids)
        assert {end for edge in seen.edges for end in edge} <= {*ids}
        for state in seen.states[:opened]:
            assert await opens(plant, state.id) == state
    return found


def _counts_agree(line: Line, seen: Picture) -> None:
    summary, counts = seen.summary, line.counts
    assert counts.well == summary[SUCCESS] + summary[PRUNED]
    assert counts.live == summary[CREATED] + summary[QUEUED]
    assert counts.bad == summary[ERRORED]
    assert counts.followed == summary[RETRY_CREATED]
    assert counts.total == sum(summary.values())


async def opens(plant: Plant, id_: Any) -> State | None:
    close = await plant.engine.overview.task(NS, id_.task)
    return own(close.run, close.task, close.past, close.more.get((close.task.node, close.task.branch), 0), id_)
