"""The join rule with waits and loops: random graphs, random batches, and after each a direct look at all tasks."""

from __future__ import annotations

from random import Random

import pytest

from core.held import held_graph
from core.memory import Memory
from core.player import play
from stoker.core.branch import index_at
from stoker.core.states import TaskState

GRAPHS = 1_200


def played(seed: int) -> Memory:
    try:
        return play(Random(seed), held_graph)
    except Exception as error:
        raise AssertionError(f"seed {seed}: play(Random({seed}), held_graph) shows it") from error


@pytest.mark.parametrize("start", range(0, GRAPHS, 300))
def test_every_join_and_loop_is_decided_when_its_last_member_settles(start: int) -> None:
    rows = sum(len(played(seed).rows) for seed in range(start, start + 300))
    assert rows > 500


def test_the_random_graphs_hold_tasks_in_every_way() -> None:
    """The oracle proves nothing about what is never drawn."""
    memories = [played(seed) for seed in range(250)]
    tasks = [(memory.graph.nodes[task.node], task) for memory in memories for task in memory.tasks.values()]
    loops = [task for node, task in tasks if node.loop is not None]
    waits = [task for node, task in tasks if node.spec.wait is not None]
    ended = {TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED}
    assert {task.state for task in loops} >= ended | {TaskState.PRUNED}
    assert {task.state for task in waits} >= ended
    assert {"expired", "declined"} <= {task.code for task in waits}
    assert "iteration_failed" in {task.code for task in loops}
    assert any(task.attempt > 1 and task.state is TaskState.SUCCEEDED for task in loops), "resumed"
    steps = [(node, at, task) for node, task in tasks for at, step in enumerate(node.steps) if step.role == "loop"]
    assert {index_at(task.branch, at) for _, at, task in steps} >= {1, 2, 3}
    assert any(sum(step.role == "loop" for step in node.steps) == 2 for node, _ in tasks), "a loop in a loop"
