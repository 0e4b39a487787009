"""`@graph`: a function that wires nodes. It is run once, with handles, and becomes a `GraphSpec`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from functools import cached_property
from typing import Any, Generic, Literal, ParamSpec, TypeVar, cast, overload

from stoker.authoring.attempts import attempts
from stoker.authoring.dump import plain
from stoker.authoring.handle import Handle
from stoker.authoring.live import lower_live
from stoker.authoring.lowering import lower
from stoker.authoring.misuse import about, misuse
from stoker.authoring.model import Node
from stoker.authoring.program import Input, OnFailure, Program
from stoker.authoring.schema import schema_of
from stoker.authoring.source import hints_of, line_of, names_around, parameters, summary
from stoker.authoring.task import Task
from stoker.authoring.trace import Trace, current
from stoker.authoring.work import Work
from stoker.core.graph import Defaults, Duration, GraphSpec, InputSpec, Retry
from stoker.core.views import PushRequest

Mode = Literal["once", "live"]
P = ParamSpec("P")
R = TypeVar("R")

_around: ContextVar[tuple[object, ...]] = ContextVar("stoker_around", default=())  # graphs that are being traced


class Graph(Generic[P, R]):
    """A graph. Called inside another graph it is inlined: its nodes are named `graph.node` there."""

    def __init__(
        self,
        code: Callable[P, R],
        name: str,
        names: dict[str, Any],
        *,
        mode: Mode = "once",
        defaults: Defaults,
        on_failure: OnFailure,
    ) -> None:
        self.code = code
        self.name = name
        self.mode = mode
        self._defaults = defaults
        self._on_failure: OnFailure = on_failure
        self.place = line_of(code)
        self._names = names
        self._parameters = parameters(code, f"the graph {name!r}", self.place)
        functools.update_wrapper(self, code)
        for parameter in self._parameters:
            if parameter.kind is parameter.VAR_KEYWORD:
                raise misuse(
                    f"the parameter **{parameter.name} of the graph {name!r} has no fixed inputs.",
                    "Name each input.",
                    place=self.place,
                )

    def __repr__(self) -> str:
        return f"<graph {self.name!r} at {self.place}>"

    def __reduce__(self) -> str:
        return self.code.__qualname__

    @property
    def spec(self) -> GraphSpec:
        """The graph as it is pushed. Raises Misuse, naming the line, if the function cannot mean a graph."""
        return self._traced[0]

    @property
    def nodes(self) -> list[Work]:
        """The distinct nodes that it uses, in its child runs too: what a runner needs to run it."""
        return list(self._traced[1])

    @property
    def inner(self) -> list[Graph[..., Any]]:
        """The graphs that it runs as child runs, each behind those that it runs itself."""
        found: dict[Graph[..., Any], None] = {}
        for graph in self._traced[2]:
            found.update(dict.fromkeys([*graph.inner, graph]))
        return list(found)

    def push_request(self) -> PushRequest:
        """The graph, those inside and its kinds, as a server takes them."""
        kinds = tuple(work.kind for work in self.nodes)
        return PushRequest(graph=self.spec, kinds=kinds, inner=tuple(graph.spec for graph in self.inner))

    def bind(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The inputs of a run by name. Raises Misuse if they do not fit the parameters."""
        return dict(self._bound(args, kwargs).arguments)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        trace = self._trace("called")
        bound = self._bound(args, kwargs)
        bound.apply_defaults()
        with trace.inside(self, self.name, self._defaults):
            return self.code(*bound.args, **bound.kwargs)

    def map(self, *args: Any, **kwargs: Any) -> Any:
        """Inside another graph: the whole graph once per element of `each(...)`."""
        trace = self._trace("mapped")
        bound = self._bound(args, kwargs)
        bound.apply_defaults()
        region, inside = trace.region(self.name, bound.arguments)
        with trace.inside(self, self.name, self._defaults, region):
            return self.code(**inside)  # type: ignore[call-arg]  # handles stand for the arguments

    def _trace(self, what: str) -> Trace:
        trace = current()
        if trace is None:
            raise misuse(
                f"the graph {self.name!r} is {what} outside of a graph.",
                f"Run it with stoker.run({self.name}, ...); test its nodes by calling them.",
            )
        return trace

    def _bound(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> inspect.BoundArguments:
        signature = inspect.Signature(self._parameters)
        try:
            return signature.bind(*args, **kwargs)
        except TypeError as error:
            raise misuse(f"{self.name}{signature}: {error}.") from None

    @cached_property
    def _traced(self) -> tuple[GraphSpec, tuple[Work, ...], tuple[Graph[..., Any], ...]]:
        around = _around.get()
        if self in around:
            raise misuse(f"the graph {self.name!r} runs itself as a child run.", "Stop at a fixed depth.")
        token = _around.set((*around, self))
        try:
            return self._trace_code()
        finally:
            _around.reset(token)

    def _trace_code(self) -> tuple[GraphSpec, tuple[Work, ...], tuple[Graph[..., Any], ...]]:
        trace = Trace()
        inputs = {
            parameter.name: Handle(Input(parameter.name), f"the input {parameter.name!r}", trace)
            for parameter in self._parameters
        }
        specs = self._inputs()
        with trace.active():
            returned = cast("Any", self.code)(**inputs)
            with about(self.place):
                result = None if returned is None else trace.term(returned)
        program = Program(
            name=self.name,
            steps=tuple(trace.steps),
            inputs=specs,
            store=trace.store,
            result=result,
            description=summary(self.code),
            defaults=self._defaults,
            on_failure=self._on_failure,
        )
        with about(self.place):
            lowered = lower_live(program) if self.mode == "live" else lower(program)
        return lowered, tuple(trace.works.values()), tuple(trace.inner)

    def _inputs(self) -> dict[str, InputSpec]:
        hints = hints_of(self.code, self._names, self.place)
        return {
            parameter.name: self._input(parameter, hints.get(parameter.name, Any)) for parameter in self._parameters
        }

    def _input(self, parameter: inspect.Parameter, hint: Any) -> InputSpec:
        if hint is Task:
            raise misuse(f"the graph {self.name!r} takes a Task.", "Only nodes run as tasks.", place=self.place)
        schema = schema_of(hint, f"the parameter {parameter.name!r}", self.place)
        if parameter.default is parameter.empty:
            return InputSpec(schema=schema)
        return InputSpec(schema=schema, required=False, default=plain(parameter.default))


@overload
def graph(code: Callable[P, R], /) -> Graph[P, R]: ...
@overload
def graph(
    *,
    name: str | None = ...,
    mode: Mode = ...,
    on_failure: OnFailure = ...,
    retry: Retry | None = ...,
    timeout: Duration | None = ...,
    task_timeout: Duration | None = ...,
    queue_timeout: Duration | None = ...,
    max_losses: int | None = ...,
    losses_are_failures: bool | None = ...,
) -> Callable[[Callable[P, R]], Graph[P, R]]: ...
def graph(
    code: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    mode: Mode = "once",
    on_failure: OnFailure = "continue",
    **options: Any,
) -> Any:
    """Make a function a graph: its parameters are the inputs of a run, what it returns is the result.

    `mode="live"`: its nodes run again whenever what they were given changes, until the run is cancelled.
    `on_failure`: "stop" ends a run with its first failure that is not tolerated; what graphs called inside say of it
    does not matter. `retry` to `losses_are_failures` go for every node that does not say it itself.
    """
    if mode not in ("once", "live"):
        raise misuse(f"mode={mode!r} is none.", "It is 'once' or 'live'.")
    if on_failure not in ("continue", "stop"):
        raise misuse(f"on_failure={on_failure!r} is unknown.", "It is 'continue' or 'stop'.")
    defaults = Defaults(**attempts(**options))

    def decorate(code: Callable[..., Any]) -> Graph[..., Any]:
        if not inspect.isfunction(code) or inspect.iscoroutinefunction(code) or inspect.isgeneratorfunction(code):
            raise misuse(
                f"@graph stands on a plain function, not on {code!r}.",
                "A graph only wires nodes; async code belongs into a node.",
            )
        names = names_around(code, frames)
        return Graph(code, name or code.__name__, names, mode=mode, defaults=defaults, on_failure=on_failure)

    frames = 1 if code is None else 2  # between here and the user
    return decorate if code is None else decorate(code)


def work_of(given: Any) -> Work:
    """The work in what a user passes as a node: a function node, or a subclass of Node. Raises Misuse otherwise."""
    if isinstance(given, Work):
        return given
    if isinstance(given, type) and issubclass(given, Node):
        return given.node()
    raise misuse(f"{given!r} is not a node.", "Decorate the function with @stoker.node.")
