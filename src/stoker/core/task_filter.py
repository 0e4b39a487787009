"""What a filter asks of the tasks of one run, as plain values for the statement that looks for them."""

from __future__ import annotations

from collections.abc import Sequence

from stoker.core.compiled import Compiled
from stoker.core.duration import Micros
from stoker.core.filter import Field, Narrowed, Sort, Term, parse
from stoker.core.states import TaskState

FIELDS = {
    "state": Field(Sort.WORD, tuple(TaskState.__members__)),
    "node": Field(Sort.TEXT),
    "kind": Field(Sort.TEXT),
    "code": Field(Sort.TEXT),
    "attempt": Field(Sort.NUMBER),
    "failures": Field(Sort.NUMBER),
    "losses": Field(Sort.NUMBER),
    "created": Field(Sort.TIME),
    "id": Field(Sort.NUMBER),
}


class TaskWanted:
    """Which tasks of a run of a graph are wanted. `named`: the nodes that the filter names; they should be there."""

    def __init__(self, terms: Sequence[Term], graph: Compiled, now: Micros) -> None:
        by = Narrowed(terms, now)
        self.named = by["node"].only or frozenset()
        self.states = [state for state in TaskState if by["state"].lets(state.name)]
        self.nodes = [
            node.index for node in graph.nodes if by["node"].lets(node.name) and by["kind"].lets(node.spec.kind)
        ]
        self.code, self.created = by["code"], by["created"]
        self.numbers = [by["id"], by["attempt"], by["failures"], by["losses"]]


def task_terms(text: str) -> tuple[Term, ...]:
    """The terms of a filter of tasks."""
    return parse(text, FIELDS)
