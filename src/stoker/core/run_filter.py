"""What a filter asks of runs, as plain values for the statements that look for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from stoker.core.duration import Micros
from stoker.core.filter import TAG, Field, Narrowed, Sort, Term, parse
from stoker.core.states import RunState, Stopping

FIELDS = {
    "state": Field(Sort.WORD, tuple(RunState.__members__)),
    "graph": Field(Sort.TEXT),
    "version": Field(Sort.NUMBER),
    TAG: Field(Sort.TEXT),
    "created": Field(Sort.TIME),
    "ended": Field(Sort.TIME),
    "priority": Field(Sort.NUMBER),
    "id": Field(Sort.NUMBER),
    "key": Field(Sort.TEXT),
    "token": Field(Sort.OWNER),
    "root": Field(Sort.RUN),
    "stopping": Field(Sort.WORD, ("no", "yes")),
}
PRIORITIES = range(10)


class TagPair(NamedTuple):
    name: str
    value: str


class RunWanted:
    """Which runs are wanted. Sets that are small are spelled out, whatever the operator was."""

    def __init__(self, terms: Sequence[Term], now: Micros) -> None:
        by = Narrowed(terms, now)
        self._version, self._graph, self._tags = by["version"], by["graph"], by.tags
        self.created, self.ended, self.id, self.key = by["created"], by["ended"], by["id"], by["key"]
        self.root, self.token = by["root"], by["token"]
        self.states = [state for state in RunState if by["state"].lets(state.name)]
        self.priorities = [priority for priority in PRIORITIES if by["priority"].lets(priority)]
        self.stopping = [why for why in Stopping if by["stopping"].lets("yes" if why else "no")]
        if Stopping.NO not in self.stopping:
            self.states = [state for state in self.states if state is RunState.RUNNING]  # what has ended stops no more

    @property
    def nothing(self) -> bool:
        """Whether no run can be all of this."""
        sets = (self.states, self.priorities, self.stopping)
        spans = (self.created, self.ended, self.id)
        tags = [found.only - found.never for found in self._tags.values() if found.only is not None]
        return not all([*sets, *tags]) or any(span.low > span.high for span in spans)

    # --- of which graph versions ---

    @property
    def any_version(self) -> bool:
        return self._graph.free and self._version.free

    @property
    def graphs(self) -> list[str]:
        """The graphs to look among; none: all of them."""
        return sorted(self._graph.only or ())

    def of_version(self, graph: str, number: int) -> bool:
        return self._graph.lets(graph) and self._version.lets(number)

    # --- with which tags ---

    @property
    def tags(self) -> list[list[TagPair]]:
        """For each tag that a run must have, the values it may have; those with few values first."""
        found = [
            sorted(TagPair(name, value) for value in allowed.only - allowed.never)
            for name, allowed in self._tags.items()
            if allowed.only is not None
        ]
        return sorted(found, key=len)

    @property
    def not_tags(self) -> list[TagPair]:
        return sorted(TagPair(name, value) for name, value in self._banned())

    def _banned(self) -> Iterator[tuple[str, str]]:
        for name, allowed in self._tags.items():
            if allowed.only is None:
                yield from ((name, value) for value in allowed.never)


def run_terms(text: str) -> tuple[Term, ...]:
    """The terms of a filter of runs."""
    return parse(text, FIELDS)
