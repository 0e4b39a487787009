"""Forks: what a run of pure nodes gave once, a fork of it gives again, whatever node it starts at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

import pytest

from core.graphs import random_graph
from core.held import held_graph
from core.memory import INPUTS, Memory
from core.oracle import check, check_end
from core.player import slices_of
from core.test_rerun import PLAIN, Pure, plain
from stoker.core import fork
from stoker.core.compile import compile_graph
from stoker.core.compiled import text_of
from stoker.core.decide import Fold
from stoker.core.graph import GraphSpec
from stoker.core.model import SLICE, ItemKey, Run, Task
from stoker.core.picture import Body
from stoker.core.states import TaskState
from stoker.core.values import encode
from stoker.errors import Conflict, NotFound

RUNS = 80
REFUSED = {"loop", "not_reached", "run_was_stopped", "no_node"}


class Held(Pure):
    """Waits are settled as purely as all else."""

    def _held(self, fold: Fold, task: Task) -> None:
        node = self._draw(fold, task)
        if node.spec.wait is None:
            return
        body = Body(encode(self._output(node)))
        if fold.unfit(task, body):
            fold.fail_wait(task, "no", "declined")
        else:
            fold.settle_wait(task, body)


def forked(memory: Memory, name: str, branch: str | None = None) -> tuple[Run, set[int]]:
    """A fork of the first run of a memory, and the tasks that it has taken over."""
    origin = memory.runs[1]
    tasks = sorted((task for task in memory.tasks.values() if task.run == 1), key=lambda task: task.id)
    rows = {key: row for key, row in memory.rows.items() if key.run == 1}
    spreads = [row for row in memory.spreads.values() if row.run == 1]
    start = fork.start(memory.graph, origin, tasks, name, branch)
    plan = fork.plan(memory.graph, origin, tasks, rows, spreads, start)
    fold = memory.fold()
    run = Run(id=len(memory.runs) + 1, namespace=1, version=1, created_at=memory.now)
    ids = fold.fork(run, memory.graph, plan, memory._bodies, INPUTS, b"", reread=False)
    done = {(task.node, task.branch) for task in plan.kept if task.state is TaskState.SUCCEEDED}
    memory.items |= {
        ItemKey(run.id, *key[1:]): body for key, body in memory.items.items() if key[0] == 1 and key[1:3] in done
    }
    memory.conclude(fold)
    return run, set(ids.values())


def of(memory: Memory, run: int) -> list[Mapping[object, object]]:
    """All that a run is, without ids."""
    return [
        {(task.node, task.branch): (task.state, task.code) for task in memory.tasks.values() if task.run == run},
        {key[1:]: body for key, body in memory.items.items() if key.run == run},
        {key[1:]: row.state for key, row in memory.rows.items() if key.run == run},
        {node: found for (its, node), found in memory.counts.items() if its == run and any(found)},
        {"state": memory.runs[run].state, "tasks": memory.runs[run].tasks, "failed": memory.runs[run].failed},
    ]


def played(seed: int, luck: int, draw: Callable[[Random], GraphSpec]) -> tuple[Memory, set[int], set[int]]:
    """A run that was forked, somewhere; the tasks that were taken over, and those that ran again."""
    dice = Random(seed)
    memory = Memory(compile_graph(plain(draw(dice)), PLAIN), dice.random)
    memory.trigger()
    with slices_of(dice.choice((1, 2, SLICE))):
        player = Held(memory, dice, luck)
        player.cancels, player.picks = luck < 100 and player.cancels, luck < 100 and player.picks
        player.finish()
        before = of(memory, 1)
        name = dice.choice([node.name for node in memory.graph.nodes if node.held or not node.inline] or [""])
        places = [task for task in memory.tasks.values() if task.node == memory.graph.names.get(name)]
        task = dice.choice([None, *places])
        branch = None if task is None else text_of(memory.graph, task.node, task.branch)
        _, kept = forked(memory, name, branch)
        check(memory)
        claims = {task.id: task.attempt for task in memory.tasks.values()}
        again = Held(memory, dice, 10**9)
        again.cancels = again.picks = False
        again.finish()
    check_end(memory)
    assert of(memory, 1) == before, "the run itself stays as it was"
    ran = {task.id for task in memory.tasks.values() if task.run == 2 and task.attempt != claims.get(task.id, 0)}
    return memory, kept, ran


def refused(error: Exception) -> bool:
    return isinstance(error, Conflict | NotFound) and error.code in REFUSED


@pytest.mark.parametrize("draw", [random_graph, held_graph])
@pytest.mark.parametrize("start", range(0, RUNS, 40))
def test_a_fork_of_a_run_of_pure_nodes_ends_as_the_run_did(start: int, draw: Callable[[Random], GraphSpec]) -> None:
    again = taken = 0
    for seed in range(start, start + 40):
        try:
            memory, kept, ran = played(seed, 10**9, draw)
            assert of(memory, 2) == of(memory, 1)
            assert not kept & ran, "what was taken over does not run again"
        except Exception as error:
            if refused(error):
                continue
            raise AssertionError(f"seed {seed}") from error
        again, taken = again + len(ran), taken + len(kept)
    assert min(again, taken) > 40, "too little was run again, or taken over, to show anything"


def test_so_it_is_with_runs_that_failed_or_were_stopped() -> None:
    forks = 0
    for seed in range(60):
        try:
            _, kept, ran = played(seed, 60, random_graph)
            assert not kept & ran
            forks += 1
        except Exception as error:
            if not refused(error):
                raise AssertionError(f"seed {seed}") from error
    assert forks > 20, "too few could be forked to show anything"
