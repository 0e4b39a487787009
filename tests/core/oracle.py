"""What must hold after every batch, and at the end of a run, told by a direct look at all tasks."""

from __future__ import annotations

import json

from core.graphs import CONDITIONS
from core.memory import Memory, by_node
from stoker.core.branch import cut, indexes
from stoker.core.compiled import CompiledNode, Kid
from stoker.core.firing import recount
from stoker.core.graph import Each
from stoker.core.model import JoinKey, JoinState, Task
from stoker.core.states import LIVE, RunState, TaskState, Verb
from stoker.core.values import elements
from stoker.selftest.conditions import verdict

SETTLED = (TaskState.SUCCEEDED, TaskState.FAILED, TaskState.PRUNED, TaskState.CANCELLED, TaskState.SKIPPED)


def check_shape(memory: Memory) -> None:
    """The compiled memberships are those of the definition."""
    for node in memory.graph.nodes:
        told = {memory.graph.nodes[join].name for join in node.feeds}
        assert told == memory.shape.feeds[node.name], f"{node.name} feeds {told}, not {memory.shape.feeds[node.name]}"


def check(memory: Memory) -> None:
    """After every batch."""
    tasks = by_node(task for run in memory.runs for task in memory.of_run(run))
    for run in memory.runs.values():
        own = memory.of_run(run.id)
        assert run.open == sum(task.state in LIVE for task in own), f"{run} counts its open tasks wrongly"
        assert run.tasks == len(own), f"{run} counts its tasks wrongly"
        assert run.failed == sum(_bad(memory, task) for task in own), f"{run} counts its failures wrongly"
        if run.cancel_at is not None:
            continue
        inline = [task for task in own if task.id and _settles_at_once(memory.graph.nodes[task.node])]
        assert not any(task.state in LIVE for task in inline), "nobody runs these"
        counted = recount(
            memory.graph, run.id, own, {key: row for key, row in memory.rows.items() if key.run == run.id}
        )
        told = {key: memory.rows[key] for key in counted}
        assert told == counted, "\n".join(f"{k}: {told[k]} is not {counted[k]}" for k in told if told[k] != counted[k])
        if run.id not in memory.retried:  # a join that has fired stays so, whatever is retried below it
            _check_open(memory, run.id, own)
    for node in memory.graph.nodes:
        for run_id in memory.runs:
            _check_counts(memory, node, run_id, tasks.get((run_id, node.index), []))


def _settles_at_once(node: CompiledNode) -> bool:
    return node.inline and not node.held


def _bad(memory: Memory, task: Task) -> bool:
    tolerated = memory.graph.nodes[task.node].spec.tolerated
    return task.state in (TaskState.FAILED, TaskState.CANCELLED) and not tolerated


def _check_open(memory: Memory, run: int, tasks: list[Task]) -> None:
    """A join is open exactly as long as some live task below its anchor can still reach it."""
    held = {key for task in tasks if task.state in LIVE for key in _holds(memory, task)}
    opened = {key for key, row in memory.rows.items() if key.run == run and row.state == JoinState.OPEN}
    assert held <= memory.rows.keys(), f"no rows {held - memory.rows.keys()}"
    assert opened <= held, f"should be decided: {opened - held}"
    assert held <= opened, f"decided too early: {held - opened}"


def _holds(memory: Memory, task: Task) -> set[JoinKey]:
    shape, ways = memory.shape, memory.ways_of(task)
    reach = shape.reach[memory.graph.nodes[task.node].name]
    return {
        JoinKey(task.run, memory.graph.names[join], ways[shape.anchor(join)])
        for join in reach
        if shape.anchor(join) in ways
    }


def _check_counts(memory: Memory, node: CompiledNode, run: int, tasks: list[Task]) -> None:
    told = memory.counts.get((run, node.index), [0] * 6)
    if not node.steps:
        assert len(tasks) <= 1
        assert told == [0] * 6
        return
    assert told == [len(tasks), *(sum(task.state is state for task in tasks) for state in SETTLED)], (node.name, told)


def check_end(memory: Memory) -> None:
    """When nothing is live any more."""
    for run in memory.runs.values():
        own = memory.of_run(run.id)
        assert run.state is not RunState.RUNNING, f"{run} does not end"
        assert all(task.state in SETTLED for task in own)
        assert not run.stopping
        spec = [memory.graph.nodes[task.node].spec for task in own]
        ends = (TaskState.FAILED, TaskState.CANCELLED)
        bad = any(task.state in ends and not node.tolerated for task, node in zip(own, spec, strict=True))
        if run.cancel_at is not None:
            stops = bad and memory.graph.spec.on_failure == "stop"
            assert run.state is RunState.CANCELLED or (stops and run.state is RunState.FAILED)
            continue
        assert not any(row.run == run.id for row in memory.spreads.values()), "not all of its tasks were made"
        assert run.state is (RunState.FAILED if bad else RunState.SUCCEEDED)
        assert [key for key, row in memory.rows.items() if key.run == run.id and row.state == JoinState.OPEN] == []
        for task in own:
            _check_kids(memory, task, own)
        _check_single_items(memory, own)
    _check_gathered(memory)


def _check_kids(memory: Memory, task: Task, tasks: list[Task]) -> None:
    """Every item and element of a task has its one child, and a join its one decision."""
    node = memory.graph.nodes[task.node]
    bodies = [memory.items[key] for key in sorted(memory.items) if key[:3] == (task.run, task.node, task.branch)]
    assert bool(bodies) <= (task.state is TaskState.SUCCEEDED)
    for kid in node.kids:
        made = [each for each in tasks if each.node == kid.node and each.parent == task.id]
        if task.state is not TaskState.SUCCEEDED:
            assert made == []
        elif memory.graph.nodes[kid.node].spec.expand is None:
            wanted = sum(1 if kid.expand is None else len(elements(body, kid.expand)) for body in bodies)
            assert len(made) == wanted, f"{wanted} children wanted, not {made}"
            _check_condition(memory, node, kid, bodies, made)
        for number, one in enumerate(sorted(made, key=lambda each: each.branch)):
            if kid.expand is None and kid.many:
                assert indexes(one.branch)[node.depth] == number
    for join in node.opens:
        there = JoinKey(task.run, join, task.branch) in memory.rows
        assert there == (task.state is TaskState.SUCCEEDED)
    if node.is_join:
        _check_verdict(memory, task, node)


def _check_condition(memory: Memory, above: CompiledNode, kid: Kid, bodies: list[bytes], made: list[Task]) -> None:
    """What arrives and fails its condition is SKIPPED, or FAILED where the condition cannot be told."""
    fire = memory.graph.nodes[kid.node].spec.fire
    when = fire.way.when if isinstance(fire, Each) and fire.way else None
    families = [[body] if kid.expand is None else elements(body, kid.expand) for body in bodies]
    arrived = [json.loads(item) for family in families for item in family]
    for item, task in zip(arrived, sorted(made, key=lambda each: indexes(each.branch)), strict=True):
        index = [0, *indexes(task.branch)][-1]
        wanted = None if when is None else verdict(CONDITIONS, when, item, index)
        found = task.state if task.code == "condition" else None
        assert found == wanted, f"{when} of {item} at {index} means {wanted}, and there is {task}"
        assert found is None or (task.ended, task.session, task.claimed_at) == (Verb.NONE, None, None)


def _check_verdict(memory: Memory, task: Task, node: CompiledNode) -> None:
    anchor = memory.ways[task.id][memory.shape.anchor(node.name)]
    row = memory.rows[JoinKey(task.run, node.index, anchor)]
    assert row.state == (JoinState.SKIPPED if task.state is TaskState.SKIPPED else JoinState.FIRED)
    if task.state is TaskState.SKIPPED and not task.code.startswith("input_missing"):
        assert not node.all_done or node.ends is not None


def _check_single_items(memory: Memory, tasks: list[Task]) -> None:
    """A join that ran had every single item that it cannot do without; one skipped for a missing item lacked one."""
    for task in tasks:
        node = memory.graph.nodes[task.node]
        if not node.is_join:
            continue
        sources = [memory.graph.nodes[source] for source in node.must_have]
        had = [(task.run, source.index, cut(task.branch, source.depth), 0) in memory.items for source in sources]
        if task.state is TaskState.SKIPPED:
            # Behind a join that has fired nothing waits for a retried task, whose item then comes too late.
            assert not task.code.startswith("input_missing") or not all(had) or task.run in memory.retried
        else:
            assert all(had), f"{node.name} ran without the items of {[s.name for s in sources]}: {had}"


def _check_gathered(memory: Memory) -> None:
    """What a join was given are the items of the tasks below its anchor task, in the order of their places."""
    for (task_id, name), given in memory.gathered.items():
        task = memory.tasks[task_id]
        anchor = memory.shape.anchor(memory.graph.nodes[task.node].name)
        prefix, source = memory.ways[task_id][anchor], memory.graph.names[name]
        members = [
            each
            for each in memory.tasks.values()
            if each.run == task.run and each.node == source
            if {**memory.ways[each.id], name: each.branch}.get(anchor) == prefix
        ]
        members.sort(key=lambda each: indexes(each.branch))
        truth = [
            memory.items[key]
            for each in members
            for key in sorted(key for key in memory.items if key[:3] == (each.run, each.node, each.branch))
        ]
        assert given == truth, f"{task} was given {given}, not {truth}"
