"""Turns a traced program into a `GraphSpec`: where each node's tasks stand, how it fires, what it is bound to. Pure.

One pass goes over the calls in order: handles become points here, `placing.py` places the nodes, `opening.py` keeps the
scopes. A pass may find that an element needs a node of its own, because ways part there; then it is repeated with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec

from stoker.authoring.misuse import misuse
from stoker.authoring.names import Names
from stoker.authoring.opening import Key, Scopes
from stoker.authoring.placing import Moved, Placing
from stoker.authoring.program import (
    Argument,
    Call,
    Const,
    Elem,
    Fields,
    Input,
    Maybe,
    Out,
    Program,
    Region,
    Round,
    Seq,
    Spread,
    Step,
    Stored,
    Term,
    Words,
    sources,
)
from stoker.authoring.scopes import Point, Scope, above, below, encloses, start_of
from stoker.authoring.trees import Joined, Leaf, Tree, binding, points
from stoker.core.graph import ITEM_KIND, Binding, GraphSpec, Iteration, NodeSpec, RunInput, Store, Value


def lower(program: Program) -> GraphSpec:
    """The graph that a traced program means. Raises Misuse, naming the line, for handles that do not fit together."""
    names = Names(name for step in program.steps for name in named(step))
    wanted: frozenset[Key] = frozenset()
    while True:
        attempt = _Pass(program, names, wanted)
        spec = attempt.run()
        if attempt.opened.missing <= wanted:
            return spec
        wanted |= attempt.opened.missing


class _Pass:
    def __init__(self, program: Program, names: Names, wanted: frozenset[Key]) -> None:
        self.program = program
        self.opened = Scopes(names, wanted)
        self.placing = Placing(self.opened)
        self.scopes: dict[int, Scope] = {0: self.opened.root}  # by region
        self.parents: dict[int, int] = {}
        self.loops: dict[int, Scope] = {}  # by region: those that are the body of a loop
        self.moved: dict[int, Moved] = {}  # by region: handles that were brought along into it
        self.outputs: dict[int, Leaf] = {}  # by call
        self.elements: dict[tuple[int, str], Leaf] = {}  # by region and parameter
        self.site = ""

    def run(self) -> GraphSpec:
        for step in self.program.steps:
            self.site = step.site
            match step:
                case Call():
                    self._call(step)
                case Region():
                    self._region(step)
                case Round(ends=False):
                    self._begin(step)
                case Round():
                    self._end(step)
        result = None if self.program.result is None else self._result(self.program.result)
        return GraphSpec(
            name=self.program.name,
            nodes=tuple(self.opened.nodes),
            inputs=self.program.inputs,
            store=self.program.store,
            result=result,
            description=self.program.description,
            defaults=self.program.defaults,
            on_failure=self.program.on_failure,
        )

    def _result(self, term: Term) -> Binding:
        return binding(self._tree(term, 0), lambda leaf: self.opened.bound(leaf, self.opened.root))

    def _call(self, call: Call) -> None:
        caller = self.scopes[call.region]
        args = {name: self._argument(arg, call.region) for name, arg in call.args.items()}
        found = points(*args.values())
        self._check_loops(found, call.region, call.template.name)
        if call.mapped:
            scope = self._deepest(found, caller, call.template.name)
        else:
            scope = caller
            self._check_reachable(found, caller, call.template.name)
        self.outputs[call.index] = Leaf(self.placing.place(call, args, scope))

    def _begin(self, loop: Round) -> None:
        """A loop, and the scope that each of its iterations stands in."""
        caller, name = self.scopes[loop.region], loop.template.name
        start, last = named(loop)[1:]
        how = loop.template.loop
        assert how is not None
        template = msgspec.structs.replace(loop.template, loop=msgspec.structs.replace(how, next=last))
        self._call(Call(index=loop.index, region=loop.region, template=template, args=loop.args, site=loop.site))
        self.parents[loop.inner] = loop.region
        scope = Scope(caller, f"each iteration of {name}", key=("loop", name))
        scope.start = Point(scope, self.outputs[loop.index].point, start)
        self.opened.emit(NodeSpec(name=start, kind=ITEM_KIND, fire=Iteration(of=name)))
        self.scopes[loop.inner] = self.loops[loop.inner] = scope
        self.elements[loop.inner, "state"] = Leaf(scope.start)

    def _end(self, loop: Round) -> None:
        """The join that ends an iteration: it waits for what the next state is made of."""
        scope, last = self.scopes[loop.inner], named(loop)[2]
        state = self._argument(loop.args["state"], loop.inner)
        found = points(state)
        self._check_reachable(found, scope, last)
        self._check_loops(found, loop.inner, last)
        join = self.placing.join_all(found, scope)
        bind = {"state": binding(state, lambda leaf: self.opened.bound(leaf, scope))}
        self.opened.emit(NodeSpec(name=last, kind=ITEM_KIND, fire=join, bind=bind))

    def _check_loops(self, found: Sequence[Point], region: int, name: str) -> None:
        """Inside of a loop only what lies above it on its branch is known, besides its state."""
        while region != 0:
            scope = self.loops.get(region)
            for point in found if scope is not None else ():
                if scope is not None and below(scope, point.scope) and not above(point, scope.start):
                    raise misuse(
                        f"{name}() is in the body of a loop and uses {point.name or 'an element'!r}, "
                        "which does not lie above the loop.",
                        "Put it into the state that the loop begins with, and return it with each state.",
                        place=self.site,
                    )
            region = self.parents.get(region, 0)

    def _region(self, region: Region) -> None:
        """Where the body of a mapped graph stands, and what has to be brought along for it."""
        self.parents[region.index] = region.parent
        caller = self.scopes[region.parent]
        args = {name: self._argument(arg, region.parent) for name, arg in region.args.items()}
        for name, arg in args.items():
            if isinstance(region.args[name], Spread) and isinstance(arg, Leaf):
                self.elements[region.index, name] = arg
        scope = self._deepest(points(*args.values()), caller, region.name)
        self._check_loops(points(*args.values()), region.parent, region.name)
        free = points(*(self._source(source, region.parent) for source in self._free(region)))
        needed = points(*args.values(), *(Leaf(point) for point in free if encloses(point.scope, scope)))
        self.moved[region.index], self.scopes[region.index] = self.placing.bring(
            needed, scope, region.name, entirely=True
        )

    def _free(self, region: Region) -> list[Out | Elem]:
        """The handles from outside that the body of a mapped graph uses, other than by its parameters."""
        inside, made, used = {region.index}, set(), []
        for step in self.program.steps:
            at = _region_of(step)
            if at not in inside:
                continue
            if isinstance(step, Region):
                inside.add(step.index)
            else:
                made.add(step.index)
            if isinstance(step, Round):
                inside.add(step.inner)
            used += [source for arg in step.args.values() for source in sources(arg)]
        return [
            source
            for source in dict.fromkeys(used)
            if (source.call not in made if isinstance(source, Out) else source.region not in inside)
        ]

    def _argument(self, arg: Argument, region: int) -> Tree:
        return Leaf(start_of(self._spread(arg.source, region))) if isinstance(arg, Spread) else self._tree(arg, region)

    def _tree(self, term: Term, region: int) -> Tree:
        match term:
            case Const(json):
                return Value(value=msgspec.json.decode(json))
            case Input(name, path):
                return RunInput(name=name, path=path)
            case Stored(name, path):
                return Store(name=name, path=path)
            case Words(parts):
                return Joined(tuple(self._tree(part, region) for part in parts))
            case Seq(items):
                return [self._tree(item, region) for item in items]
            case Fields(items):
                return {name: self._tree(item, region) for name, item in items}
            case Out() | Elem():
                return self._source(term, region)
            case Maybe(source, default):
                return replace(self._source(source, region), spared=msgspec.json.decode(default))

    def _source(self, source: Out | Elem, region: int) -> Leaf:
        found = self.outputs[source.call] if isinstance(source, Out) else self.elements[source.region, source.name]
        leaf = Leaf(found.point, found.path + source.path)
        for at in self._regions(region):
            leaf = leaf.moved(self.moved[at])
        return leaf

    def _regions(self, region: int) -> list[int]:
        """The mapped graphs around a call, outermost first."""
        around: list[int] = []
        while region != 0:
            around.append(region)
            region = self.parents[region]
        return [at for at in reversed(around) if at in self.moved]

    def _spread(self, source: Term, region: int) -> Scope:
        """The scope that `each(source)` opens."""
        caller = self.scopes[region]
        match source:
            case Out() | Elem():
                leaf = self._source(source, region)
                if encloses(caller, leaf.point.scope):
                    return self.opened.by_edge(leaf)
                self._check_reachable([leaf.point], caller, "each")
                over = self.opened.bound(leaf, caller)
                return self.opened.by_list(caller, over, (id(leaf.point), leaf.path))
            case Const() | Input() | Stored():
                over = binding(self._tree(source, region), lambda leaf: self.opened.bound(leaf, caller))
                return self.opened.by_list(caller, over, (source,))
            case _:
                raise misuse(
                    "each() cannot go over a list that is put together from handles.",
                    "Return the list from a node and pass its handle to each().",
                    place=self.site,
                )

    def _deepest(self, found: Sequence[Point], caller: Scope, name: str) -> Scope:
        """The scope of a mapped call: the deepest of its arguments, which all lie on one chain."""
        mapped = [point.scope for point in found if below(point.scope, caller)]
        if not mapped:
            raise misuse(
                f"{name}.map() has nothing to map over: no argument is each(...) or a mapped handle.",
                f"Pass each(...) for one argument, or call {name}(...) plainly.",
                place=self.site,
            )
        deepest = max(mapped, key=lambda scope: scope.depth)
        for point in found:
            if not encloses(point.scope, deepest):
                raise misuse(
                    f"{name}.map() mixes elements of {_way(deepest)} with elements of {_way(point.scope)}.",
                    "Mapped handles of one .map go over the same source; pass one of them through a plain call first, "
                    "which gathers it to a list.",
                    place=self.site,
                )
        return deepest

    def _check_reachable(self, found: Sequence[Point], caller: Scope, name: str) -> None:
        for point in found:
            if not encloses(point.scope, caller) and not encloses(caller, point.scope):
                raise misuse(
                    f"{name}() stands at {_way(caller)} and cannot use a handle mapped over {_way(point.scope)}.",
                    "Gather it by a plain call outside the mapped graph and pass that handle in.",
                    place=self.site,
                )


def named(step: Step) -> tuple[str, ...]:
    """The nodes that a step is certain to become."""
    match step:
        case Call():
            return (step.template.name,)
        case Round():
            name = step.template.name
            return name, f"{name}.state", f"{name}.next"
        case _:
            return ()


def _region_of(step: Step) -> int:
    """Where a step stands: the end of an iteration is in it."""
    match step:
        case Region():
            return step.parent
        case Round(ends=True):
            return step.inner
        case _:
            return step.region


def _way(scope: Scope) -> str:
    """A scope as people read it: `each(years) / each(pages)`."""
    labels: list[str] = []
    at: Scope | None = scope
    while at is not None and at.parent is not None:
        labels.append(at.label)
        at = at.parent
    return " / ".join(reversed(labels)) or "the graph"
