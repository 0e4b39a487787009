"""Which task may be retried by hand, and what to do where it may not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stoker.core.branch import cut
from stoker.core.compiled import Compiled, CompiledNode, text_of
from stoker.core.firing import is_bad
from stoker.core.model import Run, Task
from stoker.core.overview import present
from stoker.core.reopen import may_stand, spent
from stoker.core.states import LIVE, RunState, TaskState
from stoker.errors import Conflict

FEW = 3
WELL = frozenset({TaskState.SUCCEEDED, TaskState.READY, TaskState.LEASED, TaskState.SKIPPED})


def check(graph: Compiled, run: Run, task: Task, tasks: Sequence[Task]) -> None:
    """Conflict unless this task of a run may be retried; `tasks`: all of the run, to name what may be."""
    if graph.live and any(other.node == task.node and other.generation > task.generation for other in tasks):
        why = f"run {run.id} is live: a newer task of its node has taken its place."
        raise _refused(task, "live_run", why, f"Fire the node {graph.nodes[task.node].name!r} again.")
    if task.state in LIVE:
        raise _refused(task, "not_settled", "a task is retried by hand after its end.", "Wait for its end.")
    if task.state is TaskState.SUCCEEDED:
        remedy = "Start a new run. Joins run again behind a failed task that is retried with --rerun-below."
        raise _refused(task, "succeeded", "what it gave stays.", remedy)
    if run.stopping:
        remedy = f"Wait for its end, then `stoker runs retry {run.id}`."
        raise _refused(task, "stopping", f"run {run.id} is being stopped.", remedy)
    if run.cancel_at is not None:
        why = f"run {run.id} was stopped, and what it was kept from goes on as a whole."
        raise _refused(task, "run_was_stopped", why, f"`stoker runs retry {run.id}` retries all that it lacks.")
    if run.root is not None and run.state is not RunState.RUNNING:
        why = f"its run {run.id}, a child run of run {run.root}, has ended."
        remedy = f"`stoker tasks retry {run.parent}` retries the task that this run is, with what failed in it."
        raise _refused(task, "child_run", why, remedy)
    if task.state is TaskState.SKIPPED:
        raise _skipped(graph, task, tasks)
    node = graph.nodes[task.node]
    if node.loop is not None:
        why = "a loop goes on when what ended it does."
        raise _refused(task, "loop", why, "Retry the task of its body that failed; if none did, start a new run.")
    if node.inline and not node.held:
        why = f"nobody runs the tasks of {node.name!r}; its element does not fit what comes after it."
        raise _refused(task, "inline", why, "Start a new run.")
    if not may_stand(graph, task):
        why = "what failed it as it was made does not change: it would be so again."
        raise _refused(task, "failed_as_made", why, "Start a new run.")
    if spent(graph, task):
        why = f"a task of the kind {node.kind.name!r} has at most {node.kind.max_attempts} attempts."
        raise _refused(task, "attempts_exhausted", why, "Start a new run, or push the kind with more.")


def check_asked(task: Task, attempt: int | None, used: str) -> None:
    """Conflict unless the attempt that somebody wants retried is the task's last one. `used`: a key used before."""
    if used:
        why = f"its retry with the key {used!r} was asked for before."
        raise _refused(task, "duplicate_retry", why, "Use a new key for a new retry.")
    if attempt is not None and attempt != present(task):
        why = f"attempt {attempt} is not its last one; that is attempt {present(task)}."
        raise _refused(task, "attempt_followed", why, "Look at the task as it stands now.")


def unsettled(task: Task, below: Task, graph: Compiled) -> Conflict:
    """What the re-run of a task is told when something below is not settled."""
    what = f"task {below.id} of {graph.nodes[below.node].name!r} is {below.state.name}"
    if not below.id:
        what = f"tasks of {graph.nodes[below.node].name!r} are still being made"
    return Conflict(
        f"{what}, below a join that is to run again for task {task.id}.",
        code="below_not_settled",
        place=f"tasks/{task.id}",
        remedy="Wait until what is below has settled, or cancel the run; without rerun_below the join stays as it is.",
    )


def _refused(task: Task, code: str, why: str, remedy: str) -> Conflict:
    message = f"task {task.id} is {task.state.name}, and {why}"
    return Conflict(message, code=code, place=f"tasks/{task.id}", remedy=remedy)


def _skipped(graph: Compiled, task: Task, tasks: Sequence[Task]) -> Conflict:
    """A join is SKIPPED for what lies before it: that is to be retried."""
    node = graph.nodes[task.node]
    if task.code == "condition":
        return _refused(task, "skipped", "the condition on the way to it does not hold.", "Start a new run.")
    found = causes(graph, node, task, tasks)
    if not found:
        return _refused(task, "skipped", f"nothing before {node.name!r} can be retried.", "Start a new run.")
    few = ", ".join(named(graph, each) for each in found[:FEW])
    more = f", and {len(found) - FEW} more" if len(found) > FEW else ""
    return _refused(
        task,
        "skipped",
        f"it stays so as long as what comes before it: {few}{more}.",
        f"Retry that, as in `stoker tasks retry {found[0].id}`; the join is then decided anew.",
    )


def causes(graph: Compiled, join: CompiledNode, task: Task, tasks: Iterable[Task]) -> list[Task]:
    """The tasks between a SKIPPED join and its anchor that kept it from firing, oldest first: failures if it failed."""
    if not join.is_join:
        return []
    depth = graph.row_depth[join.index]
    before = [
        each
        for each in sorted(tasks, key=lambda each: each.id)
        if each.state not in WELL and join.index in graph.nodes[each.node].touches and may_stand(graph, each)
        if cut(each.branch, depth) == cut(task.branch, depth)
    ]
    bad = [each for each in before if is_bad(each, tolerated=graph.nodes[each.node].spec.tolerated)]
    return bad if task.code == "failed" else before


def named(graph: Compiled, task: Task) -> str:
    """A task as a message names it: `task 7 (parse at parse[1], FAILED)`."""
    branch = text_of(graph, task.node, task.branch)
    at = f" at {branch}" if branch else ""
    return f"task {task.id} ({graph.nodes[task.node].name}{at}, {task.state.name})"
