"""The join rule against brute force: random graphs, random batches, and after each a direct look at all tasks."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.memory import Memory
from core.player import play
from stoker.core.model import JoinState
from stoker.core.states import TaskState

GRAPHS = 4_000


def played(seed: int) -> Memory:
    try:
        return play(Random(seed))
    except Exception as error:
        raise AssertionError(f"seed {seed}: play(Random({seed})) shows it") from error


@pytest.mark.parametrize("start", range(0, GRAPHS, 500))
def test_every_join_is_decided_when_its_last_member_settles(start: int) -> None:
    rows = sum(len(played(seed).rows) for seed in range(start, start + 500))
    assert rows > 1_000


@settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False))
def test_the_join_rule_holds_for_graphs_that_hypothesis_draws(dice: Random) -> None:
    play(dice)


def test_the_random_graphs_reach_every_way_to_end() -> None:
    """The oracle proves nothing about what is never drawn."""
    memories = [played(seed) for seed in range(600)]
    tasks = [task for memory in memories for task in memory.tasks.values()]
    rows = [row for memory in memories for row in memory.rows.values()]
    assert {task.state for task in tasks} == set(TaskState) - {TaskState.READY, TaskState.LEASED}
    assert {JoinState.FIRED, JoinState.SKIPPED} <= {row.state for row in rows}
    codes = {task.code.partition(":")[0] for task in tasks}
    codes |= {ended.code for memory in memories for ended in memory.history}
    assert {"failed", "pruned", "input_missing", "binding", "invalid_output", "lost", "timeout"} <= codes
    assert {"queue_timeout", "task_timeout", "attempts_exhausted", "cancelled", "unconfirmed"} <= codes
    turned = [(task, memory.graph.nodes[task.node]) for memory in memories for task in memory.tasks.values()]
    turned = [(task, node) for task, node in turned if task.code == "condition"]
    assert {(task.state, node.inline) for task, node in turned} == {
        (state, inline) for state in (TaskState.FAILED, TaskState.SKIPPED) for inline in (True, False)
    }
    assert max(row.members for row in rows) >= 10
    assert any(row.empty for row in rows)
    assert max(node.depth for memory in memories for node in memory.graph.nodes) >= 4
    assert max(len(node.feeds) for memory in memories for node in memory.graph.nodes) >= 3
    assert {run.state.name for memory in memories for run in memory.runs.values()} == {
        "SUCCEEDED",
        "FAILED",
        "CANCELLED",
    }
    assert any(run.state.name == "FAILED" and run.cancel_at for memory in memories for run in memory.runs.values())
    assert any(memory.retried for memory in memories)
    assert sum(memory.rerun for memory in memories) > 20
    assert {task.state.name for memory in memories for task in memory.past.values()} >= {
        "SUCCEEDED",
        "FAILED",
        "PRUNED",
    }
    assert max(task.generation for task in tasks) >= 2
    spent = [(memory, row) for memory in memories for row in memory.spent]
    nodes = [memory.graph.nodes[row.node] for memory, row in spent]
    assert any(node.inline for node in nodes)
    assert any(node.is_join for node in nodes)
    assert any(node.when for node in nodes)
    assert max(row.tasks for _, row in spent) >= 3
    assert any(row.id in memory.unswept for memory, row in spent), "cancelled, retried, and made after all"
    assert any(len(given) >= 5 for memory in memories for given in memory.gathered.values())
