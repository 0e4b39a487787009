"""What must hold of a run once everything has stopped, whatever was killed meanwhile. Values in, what is wrong out.

`firing.recount` is the definition that the join rows cache; a cancelled run leaves its counters alone, and below a join
that has fired a retry by hand changes what it was given: these rules are not asked there.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from stoker.core.branch import cut, indexes
from stoker.core.compiled import text_of
from stoker.core.firing import recount
from stoker.core.graph import ObjectOf, Ref
from stoker.core.model import JoinKey, JoinState, Task
from stoker.core.states import LIVE, RunState, TaskState
from stoker.core.values import BadPath, elements
from stoker.selftest import conditions, evaluate, history
from stoker.selftest.evidence import Bytes, Evidence, Span, Wrong
from stoker.selftest.look import Look, Rule

SETTLED = (TaskState.SUCCEEDED, TaskState.FAILED, TaskState.PRUNED, TaskState.CANCELLED, TaskState.SKIPPED)


def wrongs(evidence: Evidence) -> list[Wrong]:
    """Every rule that does not hold of a run."""
    look = Look(evidence)
    return [
        Wrong(rule.__name__.strip("_").replace("_", " "), f"run {evidence.run.id}: {what}")
        for rule in RULES
        for what in rule(look)
    ]


def run_wrongs(acknowledged: Iterable[int], found: Iterable[int]) -> list[Wrong]:
    """Each trigger that was acknowledged is one run; nothing else is there."""
    known, there = set(acknowledged), Counter(found)
    lost = [Wrong("acknowledged runs exist", f"run {run} was acknowledged and is gone") for run in known - set(there)]
    return lost + [
        Wrong("acknowledged runs exist", f"run {run} was triggered twice, or by nobody") for run in set(there) - known
    ]


def _every_run_ends(look: Look) -> Iterator[str]:
    run = look.run
    if run.state is RunState.RUNNING:
        yield f"it is still RUNNING with {run.open} open tasks"
    elif run.ended_at is None:
        yield f"it is {run.state.name} and has no end"


def _a_run_ends_as_its_tasks_did(look: Look) -> Iterator[str]:
    failed = (TaskState.FAILED, TaskState.CANCELLED)
    bad = any(task.state in failed and not look.node(task).spec.tolerated for task in look.tasks)
    wanted = [RunState.FAILED if bad else RunState.SUCCEEDED]
    if look.stopped:  # by a cancel, or where the graph says so by the first failure
        wanted = [RunState.CANCELLED] + [RunState.FAILED] * (bad and look.graph.spec.on_failure == "stop")
    if look.run.state not in (*wanted, RunState.RUNNING):
        yield f"it is {look.run.state.name}, and its tasks say {' or '.join(state.name for state in wanted)}"


def _no_task_is_left(look: Look) -> Iterator[str]:
    for task in look.of.tasks:
        if task.state is TaskState.LEASED:
            yield f"{look.name(task)} is still leased, attempt {task.attempt} to session {task.session}"
        elif task.state is TaskState.READY:
            yield f"{look.name(task)} was never run; attempt {task.attempt} was its last"


def _no_fan_out_is_left(look: Look) -> Iterator[str]:
    for row in look.of.spreads:
        if row.state is TaskState.READY or not look.stopped:
            yield f"the spread row {row.id} still stands for {row.tasks} tasks of {look.graph.nodes[row.node].name}"


def _one_task_per_place(look: Look) -> Iterator[str]:
    places = Counter((task.node, task.branch, task.generation) for task in look.tasks)
    for (node, branch, _), count in places.items():
        if count > 1:
            yield f"{count} tasks stand at {look.graph.nodes[node].name} {text_of(look.graph, node, branch)}"


def _run_counters_equal_the_tasks(look: Look) -> Iterator[str]:
    states = Counter(task.state for task in look.tasks)
    bad = (TaskState.FAILED, TaskState.CANCELLED)
    failed = sum(task.state in bad and not look.node(task).spec.tolerated for task in look.tasks)
    counted = {"tasks": len(look.tasks), "open": sum(states[state] for state in LIVE), "failed": failed}
    for name, count in counted.items():
        if (told := getattr(look.run, name)) != count:
            yield f"it counts {name}={told}, and there are {count}"


def _node_counters_equal_the_tasks(look: Look) -> Iterator[str]:
    by_node: dict[int, Counter[TaskState]] = defaultdict(Counter)
    for task in look.tasks:
        by_node[task.node][task.state] += 1
    for node in look.graph.nodes:
        states = by_node[node.index]
        told = tuple(look.of.counts.get(node.index, (0,) * 6))
        counted = (states.total(), *(states[state] for state in SETTLED)) if node.counted else (0,) * 6
        if told != counted:
            yield f"{node.name} counts {told}, and there are {counted}"


def _join_rows_equal_their_recount(look: Look) -> Iterator[str]:
    if look.stopped:
        return
    try:
        counted = recount(look.graph, look.run.id, look.tasks, look.of.rows)
    except KeyError as error:
        yield f"a task is a member of {error.args[0]}, and there is no such row"
        return
    for key, row in counted.items():
        if look.of.rows[key] != row:
            place = text_of(look.graph, key.join, key.branch)
            yield f"{look.graph.nodes[key.join].name} at {place!r} has {look.of.rows[key]}, and there are {row}"


def _every_join_is_decided(look: Look) -> Iterator[str]:
    if look.stopped:
        return
    for key, row in look.of.rows.items():
        if row.state == JoinState.OPEN:
            yield f"{look.graph.nodes[key.join].name} at {text_of(look.graph, key.join, key.branch)!r} is open"


def _one_result_per_task(look: Look) -> Iterator[str]:
    """A task that SUCCEEDED has its items, from 0 without a gap; no other has any."""
    places = {(task.node, task.branch): task for task in look.of.tasks}
    for place in look.items.keys() - places.keys():
        yield f"items of {look.graph.nodes[place[0]].name} at {place[1]!r} belong to no task"
    for place, task in places.items():
        numbers = [key.item for key in look.items.get(place, [])]
        if task.state is not TaskState.SUCCEEDED:
            if numbers:
                yield f"{look.name(task)} has {len(numbers)} items"
        elif numbers != list(range(len(numbers))) or (look.node(task).kind.items == "one" and len(numbers) != 1):
            yield f"{look.name(task)} has the items {numbers}"


def _a_result_is_of_the_accepted_attempt(look: Look) -> Iterator[str]:
    for task in look.of.tasks:
        for key in look.items.get((task.node, task.branch), []):
            found = look.document(key)
            mine = found.get("id") if isinstance(found, dict) and look.tells(task) else None
            if mine is not None and mine != f"{task.id}/{task.attempt}/{key.item}":
                yield f"{look.name(task)}, attempt {task.attempt}, item {key.item} is {mine!r}"


def _what_succeeded_was_run(look: Look) -> Iterator[str]:
    for task in look.of.tasks:
        seen: Mapping[int, Span] = look.of.executions.get(task.id, {})
        if task.state is TaskState.SUCCEEDED and not look.node(task).inline and task.attempt not in seen:
            yield f"{look.name(task)} by attempt {task.attempt}, and user code saw {sorted(seen) or 'none'}"
        if any(attempt > task.attempt for attempt in seen):
            yield f"{look.name(task)} had attempt {task.attempt} last, and user code saw {max(seen)}"
    for unknown in look.of.executions.keys() - {task.id for task in look.of.tasks} - look.of.past:
        yield f"user code saw the task {unknown}, and there is no such task"


def _every_item_has_its_children(look: Look) -> Iterator[str]:
    """What lies behind a task that SUCCEEDED was made, once per item or element; and its joins were opened."""
    if look.stopped:
        return
    for task in look.of.tasks:
        node, done = look.node(task), task.state is TaskState.SUCCEEDED
        for kid in node.kids:
            below = look.graph.nodes[kid.node]
            if below.spec.expand is not None and done:
                continue  # how many, its own list says
            wanted = _wanted(look, task, kid.expand) if done else 0
            made = look.made[kid.node, task.id]
            if wanted is not None and made != wanted:  # behind a false condition a task stands SKIPPED
                yield f"{look.name(task)} has {made} tasks of {below.name} below, not {wanted}"
        for join in node.opens:
            opened = JoinKey(look.run.id, join, task.branch) in look.of.rows
            if opened != done:
                yield f"{look.name(task)} {'did not open' if done else 'opened'} {look.graph.nodes[join].name}"


def _wanted(look: Look, task: Task, expand: tuple[str | int, ...] | None) -> int | None:
    """How many children the items of a task give; None: they cannot be read."""
    keys = look.items.get((task.node, task.branch), [])
    if expand is None:
        return len(keys)
    try:
        return sum(len(elements(look.of.bodies[key] or b"", expand)) for key in keys)
    except BadPath:
        return None


def _joins_are_given_their_members(look: Look) -> Iterator[str]:
    """The list that a join gathered names the items of its members, in the order of their places."""
    if look.of.retried or look.stopped:
        return
    for task in look.of.tasks:
        node = look.node(task)
        given_by = node.spec.bind.get("given")
        binding = given_by.fields.get("gathered") if isinstance(given_by, ObjectOf) else None
        if not (node.is_join and look.tells(task) and task.state is TaskState.SUCCEEDED and isinstance(binding, Ref)):
            continue
        keys = look.items.get((task.node, task.branch), [])
        given = [found.get("of") for key in keys if isinstance(found := look.document(key), dict)]
        truth = _below(look, look.graph.names[binding.node], cut(task.branch, look.graph.row_depth[task.node]))
        if any(one != truth for one in given):
            yield f"{look.name(task)} was given {given}, and its members settled with {truth}"


def _below(look: Look, source: int, prefix: bytes) -> list[Any]:
    """The names of the items of a node below a branch."""
    keys = [key for place, keys in look.items.items() if place[0] == source for key in keys]
    documents = [look.document(key) for key in sorted(keys) if key.branch.startswith(prefix)]
    return [document.get("id") if isinstance(document, dict) else None for document in documents]


def _large_bytes_are_there(look: Look) -> Iterator[str]:
    for key, body in look.of.bodies.items():
        if body is None and key not in look.of.blobs:
            yield f"item {key.item} of {look.graph.nodes[key.node].name} has no bytes"
    for key, blob in look.of.blobs.items():
        if fault := _fault(blob):
            yield f"item {key.item} of {look.graph.nodes[key.node].name} {fault}"
    for number, artifact in look.of.artifacts.items():
        if artifact is None:
            yield f"the artifact {number} is named by an item, and there is no row of it"
        elif fault := _fault(artifact):
            yield f"the artifact {number} {fault}"


def _fault(of: Bytes) -> str:
    if of.found_sha256 is None:
        return "is not on the disk"
    if of.sha256 != of.found_sha256:
        return f"has the SHA-256 {of.found_sha256} on the disk, not {of.sha256}"
    return "" if of.size == of.found_size else f"has {of.found_size} bytes on the disk, not {of.size}"


def _files_are_those_that_user_code_wrote(look: Look) -> Iterator[str]:
    for key in look.of.bodies:
        found = look.document(key)
        match found:
            case {"file": {"$artifact": int(number)}, "sha256": str(digest)}:
                there = look.of.artifacts.get(number)
                if there is not None and there.sha256 != digest:
                    yield f"the artifact {number} is {there.sha256}, and user code wrote {digest}"
            case _:
                pass


def _items_are_those_of_plain_evaluation(look: Look) -> Iterator[str]:
    """Where what a graph gives is a function of it: evaluated anew, by other means."""
    if look.run.state is not RunState.SUCCEEDED or not evaluate.is_plain(look.graph.spec):
        return
    names = [node.name for node in look.graph.nodes]
    found = {(names[key.node], tuple(indexes(key.branch)), key.item): look.document(key) for key in look.of.bodies}
    wanted = {
        (node, way, number): item
        for node, ways in evaluate.evaluate(look.graph.spec, msgspec.json.decode(look.of.inputs)).items()
        for way, items in ways.items()
        for number, item in enumerate(items)
    }
    for place in sorted(found.keys() | wanted.keys()):
        if found.get(place, _NONE) != wanted.get(place, _NONE):
            yield f"the item {place} is {found.get(place, _NONE)}, and should be {wanted.get(place, _NONE)}"


_NONE = "nothing"


RULES: tuple[Rule, ...] = (
    _every_run_ends,
    _a_run_ends_as_its_tasks_did,
    _no_task_is_left,
    _no_fan_out_is_left,
    _one_task_per_place,
    _run_counters_equal_the_tasks,
    _node_counters_equal_the_tasks,
    _join_rows_equal_their_recount,
    _every_join_is_decided,
    _one_result_per_task,
    _a_result_is_of_the_accepted_attempt,
    _what_succeeded_was_run,
    _every_item_has_its_children,
    _joins_are_given_their_members,
    _large_bytes_are_there,
    _files_are_those_that_user_code_wrote,
    _items_are_those_of_plain_evaluation,
    *history.RULES,
    *conditions.RULES,
)
