"""A node of a live run, as a value: what it gave last, what its open task reads, what it waits for. No decisions here
change anything; `living` folds them.

**What an attempt reads** is said by three fields: attempts from `since` on read `bound`, earlier ones `before`. A
change while a READY task has not been claimed since just replaces `bound`. A change behind an attempt's back moves
`since` beyond that attempt: it is *dirty*, and whatever comes next reads anew, be it the next attempt after a retry, a
loss or a release, or, where the attempt settles its task, one more firing. A loss that is taken back finds its own
inputs, and whether they have changed, as they were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from stoker.core.compiled import Compiled, CompiledNode
from stoker.core.duration import Micros
from stoker.core.model import Task
from stoker.core.states import TaskState

NodeKey = tuple[int, int]  # run, node
Bound = Mapping[int, int]  # by node: the number of its output

NOTHING: Bound = {}


class LiveNode(msgspec.Struct, kw_only=True):
    """`task`: the newest. `state`: what its last event made it, an attempt that is being run aside; 0: nothing yet.

    `settled`: once at least. `outputs`: how many there are; each has its number. `current`: the number of the current
    one. `given`: the newest output of attempt `giver`, which has given as many as `given_by` says. Not frozen: a fold
    changes its own copy. The order of the fields is the order of the columns in SQL.
    """

    run: int
    node: int
    generation: int = -1
    task: int | None = None
    state: int = 0
    status: str = ""
    settled: bool = False
    outputs: int = 0
    current: int | None = None
    giver: int = 0
    given_by: int = 0
    given: int = 0
    since: int = 1
    bound: Bound = NOTHING
    before: Bound = NOTHING

    @property
    def key(self) -> NodeKey:
        return self.run, self.node

    def reads(self, attempt: int) -> Bound:
        """The outputs that an attempt of the newest task reads."""
        return self.bound if attempt >= self.since else self.before

    def dirty(self, task: Task) -> bool:
        """Whether what the newest task's current attempt reads is no longer what it should read."""
        return task.state is TaskState.LEASED and task.attempt < self.since


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """An output of a node: its value is the item of that number. Without `task` it was published from outside.

    `attempt` 0: of an attempt that is not known any more. Those of an attempt that have a `key` and a name in
    common are one: the first. `about`: what its giver says of it, which no rule reads. The order of the fields is the
    order of the columns in SQL.
    """

    id: int
    run: int
    node: int
    number: int
    task: int | None
    attempt: int
    name: str
    created_at: Micros
    key: str = ""
    about: str = ""


# --- who says it: outputs and states that name only the node ---


class Label(NamedTuple):
    """What is said of an output besides its value; see `Output`."""

    name: str = ""
    key: str = ""
    about: str = ""


UNLABELLED = Label()


class Belongs(NamedTuple):
    """To an attempt: the one that is being run (`open`), or one that was superseded."""

    task: int
    attempt: int
    open: bool


def by_node(task: Task | None, own: int | None) -> Belongs | Literal["external"]:
    """Whose an output or a state is that names no attempt. `task`: the node's newest, if it is READY or LEASED.

    It is the attempt's that is being run, unless the caller has a session of its `own` and another one runs it; the
    superseded attempt's, where a retry is offered; everything else comes from outside.
    """
    if task is None or (task.state is TaskState.READY and not task.attempt):
        return "external"
    if task.state is TaskState.READY:
        return Belongs(task.id, task.attempt, open=False)
    mine = own is None or own == task.session
    return Belongs(task.id, task.attempt if mine else 0, open=mine)


# --- when it fires ---


def current(node: CompiledNode, rows: Mapping[int, LiveNode]) -> dict[int, int]:
    """The current outputs of the nodes before one; those without any are left out."""
    return {parent: number for parent in node.of if (number := rows[parent].current) is not None}


def may_fire(node: CompiledNode, rows: Mapping[int, LiveNode]) -> bool:
    """Whether a change before a node makes it fire: all have settled once, and what it needs is there."""
    bound = current(node, rows)
    return bool(bound) and all(rows[parent].settled for parent in node.of) and bound.keys() >= {*node.must_have}


def refusal(graph: Compiled, node: CompiledNode, rows: Mapping[int, LiveNode]) -> str | None:
    """Why a node cannot be fired by hand; None if it can."""
    if node.inline:
        return f"{node.name!r} is an input, which nothing runs"
    if node.of and not current(node, rows):
        return f"no node before {node.name!r} has an output that it could read: {_named(graph, node.of)}"
    return None


def waits_for(graph: Compiled, node: CompiledNode, rows: Mapping[int, LiveNode]) -> str:
    """Why a node has not fired yet; empty if nothing before it is missing."""
    if not node.of or may_fire(node, rows):
        return ""
    open_ = [parent for parent in node.of if not rows[parent].settled]
    if open_:
        return _first(graph, open_)
    bound = current(node, rows)
    if not bound:
        return f"every node before it has settled, and none has an output: {_named(graph, node.of)}"
    return f"needs an output of {_named(graph, [each for each in node.must_have if each not in bound])}"


def _first(graph: Compiled, parents: Sequence[int]) -> str:
    inputs = [parent for parent in parents if graph.nodes[parent].inline]
    if inputs:
        return f"waits for a first output of the input {_named(graph, inputs)}"
    return f"waits for {_named(graph, parents)} to settle for the first time"


def _named(graph: Compiled, nodes: Sequence[int]) -> str:
    return ", ".join(repr(graph.nodes[node].name) for node in nodes)
