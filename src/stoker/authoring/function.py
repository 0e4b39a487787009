"""`@node`: a function as a node. Outside a graph it stays the function it was."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

from stoker.authoring.calls import NodeCall, with_options
from stoker.authoring.items import Items
from stoker.authoring.misuse import misuse
from stoker.authoring.program import Policy
from stoker.authoring.schema import Field, Inputs, Output
from stoker.authoring.secrets import check, declared
from stoker.authoring.source import hints_of, line_of, names_around, parameters, source_hash, summary
from stoker.authoring.task import Task
from stoker.authoring.trace import current
from stoker.authoring.work import STOP_GRACE, Work, seconds, template, unfold
from stoker.core import graph

P = ParamSpec("P")
R = TypeVar("R")


class FunctionNode(Work, Generic[P, R]):
    """A function that is a node: call it in a test, or in a graph, where it returns a handle."""

    def __init__(
        self,
        code: Callable[P, R],
        spec: graph.NodeSpec,
        *,
        isolation: bool,
        stop_grace_s: float,
        secrets: Sequence[str],
        names: dict[str, Any],
    ) -> None:
        self.code = code
        self.name = spec.kind
        self.template = spec
        self.isolation = isolation
        self.stop_grace_s = stop_grace_s
        self.place = line_of(code)
        self._secrets = declared(secrets, self.place)
        self._names = names
        self._parameters = parameters(code, f"the node {self.name!r}", self.place)
        functools.update_wrapper(self, code)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if current() is None:
            return self.code(*args, **kwargs)
        return cast("R", NodeCall(self)(*args, **kwargs))

    def map(self, *args: Any, **kwargs: Any) -> Any:
        """In a graph: one task per element of `each(...)`, or per task of a handle that was mapped."""
        return NodeCall(self).map(*args, **kwargs)

    def options(
        self,
        *,
        join: Policy = "all_success",
        name: str | None = None,
        tolerated: bool | None = None,
        priority: int | None = None,
        retry: graph.Retry | None = None,
        timeout: graph.Duration | None = None,
        task_timeout: graph.Duration | None = None,
        queue_timeout: graph.Duration | None = None,
        max_losses: int | None = None,
        losses_are_failures: bool | None = None,
        requires: graph.Requirements | None = None,
        limit: graph.Limit | None = None,
        when: str | None = None,
    ) -> NodeCall:
        """The node with options for one place: `join="all_done"` runs it whatever became of what it waits for.

        `when`: a condition on all its edges, such as `"item.rows > 100"`.
        """
        return with_options(
            self,
            join=join,
            name=name,
            tolerated=tolerated,
            priority=priority,
            retry=retry,
            timeout=timeout,
            task_timeout=task_timeout,
            queue_timeout=queue_timeout,
            max_losses=max_losses,
            losses_are_failures=losses_are_failures,
            requires=requires,
            limit=limit,
            when=when,
        )

    def __repr__(self) -> str:
        return f"<node {self.name!r} at {self.place}>"

    def __reduce__(self) -> str:
        return self.code.__qualname__  # by reference, so that an isolating runner finds it by import

    # --- the kind ---

    @cached_property
    def _hints(self) -> dict[str, Any]:
        return hints_of(self.code, self._names, self.place)

    @cached_property
    def _task_parameter(self) -> str | None:
        return next((name for name, hint in self._hints.items() if hint is Task and name != "return"), None)

    @cached_property
    def _inputs(self) -> Inputs:
        fields, extra = {}, False
        for parameter in self._parameters:
            if parameter.kind is parameter.VAR_KEYWORD:
                extra = True
            elif parameter.name != self._task_parameter:
                hint = self._hints.get(parameter.name, Any)
                fields[parameter.name] = Field(hint, parameter.default is parameter.empty)
        return Inputs(self.place, fields, extra=extra)

    @cached_property
    def _many(self) -> bool:
        hint = self._hints.get("return")
        return hint is Items or typing.get_origin(hint) is Items

    @cached_property
    def _output(self) -> Output:
        hint = self._hints.get("return")
        if self._many:
            hint = next(iter(typing.get_args(hint)), Any)
        return Output(self.place, hint, hinted="return" in self._hints)

    @property
    def output(self) -> Output:
        return self._output

    @cached_property
    def _kind(self) -> graph.KindSpec:
        return graph.KindSpec(
            name=self.name,
            input=self._inputs.schema,
            output=self._output.schema,
            items="many" if self._many else "one",
            secrets=self._secrets,
            source_hash=source_hash(self.code),
            description=summary(self.code),
        )

    @property
    def kind(self) -> graph.KindSpec:
        return self._kind

    @property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(self.code)

    # --- calls ---

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        signature = inspect.Signature([found for found in self._parameters if found.name != self._task_parameter])
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise misuse(f"{self.name}{signature}: {error}.", "Pass what the node takes; a Task is injected.") from None
        given = dict(bound.arguments)
        for parameter in self._parameters:
            if parameter.kind is parameter.VAR_KEYWORD:
                given |= given.pop(parameter.name, {})
        return given

    def arguments(self, inputs: dict[str, Any], *, task: Task | None) -> dict[str, Any]:
        if self._secrets and task is not None:
            check(self._secrets, task.secrets, self.name, self.place)
        found: dict[str, Any] = self._inputs.convert(inputs, self.name)
        if self._task_parameter is not None:
            found[self._task_parameter] = task
        return found

    def call(self, arguments: dict[str, Any]) -> Any | Awaitable[Any]:
        code = cast("Callable[..., Any]", self.code)
        return code(**arguments)

    def results(self, result: Any) -> Sequence[Any]:
        return unfold(result, name=self.name, many=self._many)


@overload
def node(code: Callable[P, R], /) -> FunctionNode[P, R]: ...
@overload
def node(
    *,
    name: str | None = ...,
    retry: graph.Retry | None = ...,
    timeout: graph.Duration | None = ...,
    task_timeout: graph.Duration | None = ...,
    queue_timeout: graph.Duration | None = ...,
    max_losses: int | None = ...,
    losses_are_failures: bool | None = ...,
    priority: int = ...,
    requires: graph.Requirements | None = ...,
    isolation: bool = ...,
    stop_grace: graph.Duration = ...,
    tolerated: bool = ...,
    limit: graph.Limit | None = ...,
    secrets: Sequence[str] = ...,
) -> Callable[[Callable[P, R]], FunctionNode[P, R]]: ...
def node(
    code: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    isolation: bool = False,
    stop_grace: graph.Duration = STOP_GRACE,
    secrets: Sequence[str] = (),
    **options: Any,
) -> Any:
    """Make a function a node: `@stoker.node` or `@stoker.node(retry=stoker.Retry(3), timeout="5m")`.

    `name`: of the kind; the function's name otherwise. `isolation`: run it in a process of its own. `stop_grace`:
    how long it may take to end when it is told to stop; an isolated one gets SIGTERM after half of it, and SIGKILL at
    its end. `tolerated`: its failure does not fail the run. `secrets`: names that `task.secrets` has.
    `requires`: what its runner must offer.
    `timeout`: of an attempt; `task_timeout`: of the task in all; `queue_timeout`: of its wait for a runner.
    `max_losses`: how often it may be lost with its runner; `losses_are_failures`: each loss counts for `retry` too.
    `limit`: how many of its tasks run at once, or start per time.
    """

    def decorate(code: Callable[..., Any]) -> FunctionNode[..., Any]:
        if not inspect.isfunction(code):
            raise misuse(f"@node stands on a function, not on {code!r}.", "For a class, subclass stoker.Node.")
        if inspect.isgeneratorfunction(code) or inspect.isasyncgenfunction(code):
            raise misuse(
                f"the node {code.__name__!r} yields; a node returns.",
                "Return stoker.Items([...]) for several outputs.",
                place=line_of(code),
            )
        spec = template(name or code.__name__, **options)
        return FunctionNode(
            code,
            spec,
            isolation=isolation,
            stop_grace_s=seconds("stop_grace", stop_grace),
            secrets=secrets,
            names=names_around(code, frames),
        )

    frames = 1 if code is None else 2  # between here and the user
    return decorate if code is None else decorate(code)
