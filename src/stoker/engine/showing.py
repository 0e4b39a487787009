"""Shows a fold what it is to decide on: runs with their graphs, and the join rows that tasks may touch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stoker.core.condition import Around
from stoker.core.decide import Fold
from stoker.core.firing import touched_rows
from stoker.core.model import Run, Task
from stoker.engine.ports import Tx
from stoker.engine.tools import Tools


class Showing:
    """What is known to a fold already stays as the fold has it."""

    def __init__(self, tools: Tools, tx: Tx) -> None:
        self._tools = tools
        self._tx = tx

    async def runs(self, fold: Fold, runs: Iterable[Run]) -> None:
        for run in runs:
            if run.id not in fold.runs:
                known = fold.graphs.get(run.version)
                fold.show_run(run, known or (await self._tools.versions.get(self._tx, run.version)).graph)

    async def runs_of(self, fold: Fold, tasks: Iterable[Task]) -> None:
        """The runs of tasks that came up on the way."""
        new = sorted({task.run for task in tasks} - fold.runs.keys())
        if new:
            await self.runs(fold, await self._tx.runs(new))
            await self.around(fold)

    async def around(self, fold: Fold) -> None:
        """What the conditions of these runs read of them."""
        asking = [run.id for run in fold.runs.values() if fold.graphs[run.version].asks and run.id not in fold.around]
        if not asking:
            return
        inputs, stores = await self._tx.run_inputs(asking), await self._tx.run_stores(asking)
        for run in asking:
            fold.show_around(run, Around(inputs.get(run, b""), stores.get(run, b"")))

    async def rows(self, fold: Fold, tasks: Sequence[Task]) -> None:
        keys = {key for task in tasks for key in touched_rows(fold.graph_of(task), task)} - fold.rows.keys()
        if keys:
            for key, row in await self._tx.join_rows(keys):
                fold.show_row(key, row)
