"""`Work`: a kind together with the code that does it. What a runner needs of a node, in either form."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

from stoker.authoring.attempts import attempts
from stoker.authoring.dump import InvalidOutput, to_json
from stoker.authoring.items import Items
from stoker.authoring.limit import checked
from stoker.authoring.misuse import misuse
from stoker.authoring.retry import duration
from stoker.authoring.schema import Output
from stoker.authoring.task import Task
from stoker.core import graph
from stoker.core.duration import SECOND, micros

STOP_GRACE = "10s"  # half for the flag, half for SIGTERM; well within the 30 s that a server gives


class Work(ABC):
    """`template` has the kind's name and the options that its places in graphs start from.

    `stop_grace_s`: how long the code may take to end once it is told to stop.
    """

    name: str
    isolation: bool
    stop_grace_s: float
    template: graph.NodeSpec
    place: str

    @property
    @abstractmethod
    def kind(self) -> graph.KindSpec:
        """The kind as it is pushed. Raises Misuse if the hints make no schema."""

    @property
    @abstractmethod
    def is_async(self) -> bool: ...

    @property
    @abstractmethod
    def output(self) -> Output: ...

    @abstractmethod
    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a call in a graph, by input name. Raises Misuse if they do not fit."""

    @abstractmethod
    def arguments(self, inputs: dict[str, Any], *, task: Task | None) -> dict[str, Any]:
        """A task's JSON inputs as what the code takes. Raises Invalid (`invalid_input`) naming each wrong input."""

    @abstractmethod
    def call(self, arguments: dict[str, Any]) -> Any | Awaitable[Any]:
        """Run the code; an awaitable if it is async."""

    @abstractmethod
    def results(self, result: Any) -> Sequence[Any]:
        """The items in what the code returned."""

    def dump(self, result: Any) -> list[bytes]:
        """One JSON document per item. Raises InvalidOutput naming the place of what does not fit."""
        return [to_json(self.output.conform(item)) for item in self.results(result)]


def unfold(result: Any, *, name: str, many: bool) -> Sequence[Any]:
    """The items of a function's result: `Items` fan out, all else is one."""
    if isinstance(result, Items) and not many:
        raise InvalidOutput(
            f"{name!r} returned Items, but is not annotated so.", remedy="Annotate it `-> stoker.Items[T]`."
        )
    if not many:
        return [result]
    if isinstance(result, Items):
        return result.values
    raise InvalidOutput(
        f"{name!r} is annotated with Items, but returned {type(result).__name__}.",
        remedy="Return stoker.Items([...]).",
    )


def seconds(name: str, value: graph.Duration) -> float:
    """An option's duration in seconds. Raises Misuse naming the option."""
    return micros(duration(name, value)) / SECOND


def template(
    name: str,
    *,
    priority: int = 5,
    requires: graph.Requirements | None = None,
    tolerated: bool = False,
    limit: graph.Limit | None = None,
    **options: Any,
) -> graph.NodeSpec:
    """The options of a node, checked; further ones are those of its attempts."""
    if not name:
        raise misuse("a node has a name.", "Pass name='...'.")
    if isinstance(priority, bool) or not isinstance(priority, int) or not 0 <= priority <= 9:
        raise misuse(f"a priority is an integer from 0 to 9, not {priority!r}.")
    checked(limit)
    return graph.NodeSpec(
        name=name,
        kind=name,
        priority=priority,
        requires=requires or graph.Requirements(),
        tolerated=tolerated,
        limit=limit,
        **attempts(**options),
    )
