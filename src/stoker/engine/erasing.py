"""The deletion of runs, with all that hangs on them, a few hundred rows at a time.

First they are hidden, in one transaction under the lock of the tree: their namespace gets its negative number, and from
then on nobody finds them, retries them or adds to them. What is hidden is then erased slice by slice, by any server,
the row of the run last; so whatever dies in between, somebody goes on.
"""

from __future__ import annotations

from collections.abc import Sequence

from stoker.core.duration import Micros
from stoker.core.states import RunState
from stoker.engine import single
from stoker.engine.holds import COLLECT, held
from stoker.engine.ports import Clock, Reader, Store, Tx

SLICE = 500  # rows of one table in one transaction
RUNS = 50  # of one slice

SLICED = (
    "log",
    "spread",
    "output",
    "item",
    "past_item",
    "join_row",
    "node_count",
    "live_node",
    "run_tag",
    "task_retry",
)
"""Tables of which a run may have any number of rows."""

OF_TASKS = ("attempt", "progress", "task", "past_task")
"""Tables whose rows go with tasks."""

SINGLE = ("imported", "run_key", "run_input", "run_store", "run_fork", "schedule_firing")
"""Tables of which a run has a row at most."""


class Erasing:
    """Hides runs, and erases what is hidden."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def hide(self, runs: Sequence[int]) -> int:
        """Hide these runs, besides those that were retried meanwhile; gives how many. Their keys are free from now on.

        None at all while it is seen which artifacts they name.
        """
        return await single.transact(self._store, lambda tx: _hide(tx, runs, self._clock.now()))

    async def erase(self) -> int:
        """Erase a slice; gives how many runs there was something of."""
        if not await self._store.peek(self._anything):
            return 0
        now = self._clock.now()

        async def one(tx: Tx) -> int:
            return await _give_up(tx, now) or await _hide_children(tx) or await _erase(tx)

        return await single.transact(self._store, one)

    async def _anything(self, reader: Reader) -> bool:
        return bool(await reader.rows("hidden") or await reader.rows("stale_imports", self._clock.now(), 1))


async def _give_up(tx: Tx, now: Micros) -> int:
    """Runs whose import died are runs that are being deleted from here on."""
    stale = await tx.rows("stale_imports", now, RUNS)
    await tx.lock(sorted(run for run, _ in stale), [])
    for run, namespace in stale:
        if await tx.execute("drop_import", run, now):
            await tx.execute("doom_import", -namespace, run)
    return len(stale)


async def _hide(tx: Tx, runs: Sequence[int], now: Micros) -> int:
    found = (await tx.lock(sorted(runs), [])).runs
    if await held(tx, COLLECT, now):
        return 0
    ended = [run.id for run in found if run.state is not RunState.RUNNING and run.root is None and run.namespace > 0]
    running = await tx.ids("trees_running", ended)
    chosen = sorted({*ended} - {*running})
    await tx.execute("shift_total", -1, chosen)
    await tx.execute("hide_runs", chosen)
    await tx.execute("free_keys", chosen)
    return len(chosen)


async def _hide_children(tx: Tx) -> int:
    """Hide child runs of runs that are hidden."""
    children = sorted(await tx.ids("shown_children", SLICE))
    if children:
        await tx.execute("hide_runs", children)
    return len(children)


async def _erase(tx: Tx) -> int:
    runs = sorted(await tx.ids("doomed_runs", RUNS))
    if runs and await _emptied(tx, runs):
        for table in SINGLE:
            await tx.execute(f"erase_{table}", runs)
        await tx.execute("erase_run", runs)
    return len(runs)


async def _emptied(tx: Tx, runs: Sequence[int]) -> bool:
    """Erase a slice of every table; whether that was all of it."""
    rest = not await _tasks_erased(tx, runs)
    for table in SLICED:
        rest |= len(await tx.execute(f"erase_{table}", runs, SLICE)) == SLICE
    return not rest


async def _tasks_erased(tx: Tx, runs: Sequence[int]) -> bool:
    """Erase tasks, after what hangs on them; whether those were the last."""
    tasks, past = await tx.ids("tasks_among", runs, SLICE), await tx.ids("past_tasks_among", runs, SLICE)
    if len(await tx.execute("erase_attempt", [*tasks, *past], SLICE)) == SLICE:
        return False
    await tx.execute("erase_progress", [*tasks, *past])
    await tx.execute("delete_tasks", tasks)
    await tx.execute("erase_past_task", past)
    return max(len(tasks), len(past)) < SLICE
