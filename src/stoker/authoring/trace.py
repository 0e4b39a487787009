"""Running a graph function once to record its calls. Outside a trace, nodes are plain functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import reduce
from typing import Any

import msgspec

from stoker.authoring.dump import plain
from stoker.authoring.file import File
from stoker.authoring.handle import Handle, Several, Spared
from stoker.authoring.handle import Words as Parts
from stoker.authoring.misuse import here, misuse
from stoker.authoring.names import unique
from stoker.authoring.program import (
    Argument,
    Call,
    Const,
    Elem,
    Fields,
    Maybe,
    Out,
    Policy,
    Region,
    Round,
    Seq,
    Spread,
    Step,
    Term,
    Words,
)
from stoker.authoring.work import Work
from stoker.core.graph import Defaults, InputSpec, NodeSpec
from stoker.core.options import filled
from stoker.core.own import OWN
from stoker.errors import StokerError

_current: ContextVar[Trace | None] = ContextVar("stoker_trace", default=None)


def current() -> Trace | None:
    """The trace that is going on, if any."""
    return _current.get()


class Trace:
    """What a graph function has called so far."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.works: dict[str, Work] = {}
        self.store: dict[str, InputSpec] = {}
        self.inner: list[Any] = []  # graphs that become runs of their own
        self._names: dict[str, int] = {}
        self._prefix = ""
        self._region = 0
        self._regions = 0
        self._within: list[object] = []
        self._defaults: list[Defaults] = []

    @contextmanager
    def active(self) -> Iterator[None]:
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    @contextmanager
    def inside(self, graph: object, name: str, defaults: Defaults, region: int | None = None) -> Iterator[None]:
        """The body of another graph: its nodes are named `name.node`, and its defaults go for them."""
        if graph in self._within:
            raise misuse(f"the graph {name!r} calls itself.", "Repeat inside a node, or unroll it with a fixed depth.")
        before = self._prefix, self._region
        self._within.append(graph)
        self._defaults.append(defaults)
        self._prefix, self._region = f"{self._prefix}{name}.", self._region if region is None else region
        try:
            yield
        finally:
            self._within.pop()
            self._defaults.pop()
            self._prefix, self._region = before

    def call(
        self,
        work: Work,
        template: NodeSpec,
        args: Mapping[str, Any],
        *,
        mapped: bool,
        policy: Policy,
        when: str | None = None,
    ) -> Handle:
        """Record one call of a node."""
        self._know(work)
        return self.place(template, args, many=work.kind.items == "many", mapped=mapped, policy=policy, when=when)

    def contain(self, graph: Any, works: Sequence[Work]) -> None:
        """Record a graph that is run as a child run, with the nodes that its runs need."""
        if graph not in self.inner:
            self.inner.append(graph)
        for work in works:
            self._know(work)

    def _know(self, work: Work) -> None:
        known = self.works.setdefault(work.name, work)
        if known is not work:
            raise misuse(
                f"two different nodes have the kind name {work.name!r}: {known!r} and {work!r}.",
                "Give one of them another name: @stoker.node(name=...).",
            )

    def place(
        self,
        template: NodeSpec,
        args: Mapping[str, Any],
        *,
        many: bool = False,
        mapped: bool = False,
        policy: Policy = "all_success",
        when: str | None = None,
    ) -> Handle:
        """Record a node in the graph."""
        name = unique(self._prefix + template.name, self._names)
        self._names[name] = index = len(self.steps)
        defaults = () if template.kind in OWN else reversed(self._defaults)
        call = Call(
            index=index,
            region=self._region,
            template=reduce(filled, defaults, msgspec.structs.replace(template, name=name)),
            args={key: self.argument(value, mapped=mapped) for key, value in args.items()},
            mapped=mapped,
            many=many,
            policy=policy,
            when=when,
            site=here(),
        )
        self.steps.append(call)
        return Handle(Out(index), name, self)

    @contextmanager
    def looping(self, template: NodeSpec, state: Any) -> Iterator[tuple[Handle, Callable[[Any], Handle]]]:
        """Record a loop: the state inside of it, and what ends an iteration and gives the handle of the loop."""
        name = unique(self._prefix + template.name, self._names)
        self._regions += 1
        self._names[name] = index = len(self.steps)
        start = Round(
            index=index,
            region=self._region,
            inner=self._regions,
            template=msgspec.structs.replace(template, name=name),
            args={"state": self.term(state)},
            site=here(),
        )
        self.steps.append(start)

        def ended(returned: Any) -> Handle:
            self.steps.append(replace(start, args={"state": self.term(returned)}, ends=True, site=here()))
            return Handle(Out(index), name, self)

        for part in (f"{name}.state", f"{name}.next"):
            self._names[part] = index
        with self.inside(object(), name.removeprefix(self._prefix), Defaults(), start.inner):
            yield Handle(Elem(start.inner, "state"), f"the state of {name}", self), ended

    def region(self, name: str, args: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Record that a graph is mapped; its region, and what its parameters are inside."""
        self._regions += 1
        index = self._regions
        recorded = {key: self.argument(value, mapped=True) for key, value in args.items()}
        self.steps.append(
            Region(index=index, parent=self._region, name=self._prefix + name, args=recorded, site=here())
        )
        inside = {
            key: Handle(Elem(index, key), f"the element {key!r} of {name}", self)
            if isinstance(value, Several)
            else value
            for key, value in args.items()
        }
        return index, inside

    def argument(self, value: Any, *, mapped: bool) -> Argument:
        if not isinstance(value, Several):
            return self.term(value)
        if not mapped:
            raise misuse("each(...) was passed to a plain call.", "Map the node over it: node.map(x=stoker.each(...)).")
        return Spread(self.term(value.source))

    def term(self, value: Any) -> Term:
        """What a value in a graph stands for."""
        match value:
            case Handle():
                if value._trace is not self:
                    raise misuse(f"{value!r} belongs to another graph.", "Pass it in as a parameter of the graph.")
                return value._term
            case Spared():
                return self._spared(value)
            case Parts():
                return Words(tuple(self.term(part) for part in value.parts))
            case Several():
                raise misuse("each(...) stands inside another value.", "Pass it as an argument of .map itself.")
            case list() | tuple():
                items = tuple(self.term(item) for item in value)
                return _const(value) if all(isinstance(item, Const) for item in items) else Seq(items)
            case dict():
                fields = tuple((_key(key), self.term(item)) for key, item in value.items())
                return _const(value) if all(isinstance(item, Const) for _, item in fields) else Fields(fields)
            case _:
                return _const(value)

    def _spared(self, value: Spared) -> Term:
        source = self.term(value.handle)
        if not isinstance(source, Out | Elem):
            raise misuse(f"{value!r}: an input of the graph always has a value.", "Pass it as it is.")
        return Maybe(source, _const(value.default).json)


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise misuse(f"an object has text keys, not {key!r}.", "Write the key as a text.")
    return key


def _const(value: Any) -> Const:
    if isinstance(value, File):
        raise misuse(
            f"{value!r} is a constant in a graph.", "Make it a parameter of the graph; it is uploaded at trigger."
        )
    try:
        return Const(msgspec.json.encode(plain(value)))
    except StokerError as error:
        raise misuse(
            f"a constant in a graph is a JSON value, and {value!r} is none: it {error.message}",
            "Call a node or graph to use what it gives; a constant is made of builtins, models or dataclasses.",
        ) from None
