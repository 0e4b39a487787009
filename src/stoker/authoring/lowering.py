"""Turns a traced program into a `GraphSpec`: where each node's tasks stand, how it fires, what it is bound to. Pure.

One pass goes over the calls in order. It may find that an element needs a node of its own (an inline `item`, because
ways part there); then the pass is repeated with it. Above `_bring`: a handle that does not lie above the element it is
used with cannot be reached by a reference; an inline node packs both into one item.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from stoker.authoring.misuse import misuse
from stoker.authoring.names import Names
from stoker.authoring.program import (
    Argument,
    Call,
    Const,
    Elem,
    Fields,
    Input,
    Out,
    Policy,
    Program,
    Region,
    Seq,
    Spread,
    Term,
    sources,
)
from stoker.authoring.scopes import (
    ByEdge,
    ByItems,
    ByList,
    Point,
    Scope,
    above,
    below,
    encloses,
    nearest_common,
    ways,
)
from stoker.authoring.trees import Leaf, Tree, binding, points, replaced
from stoker.core.graph import (
    ITEM_KIND,
    Binding,
    Each,
    Edge,
    Element,
    Expand,
    GraphSpec,
    Join,
    ListOf,
    NodeSpec,
    ObjectOf,
    Ref,
    RunInput,
    Value,
)

Key = tuple[object, ...]
Moved = dict[Point, Leaf]


def lower(program: Program) -> GraphSpec:
    """The graph that a traced program means. Raises Misuse, naming the line, for handles that do not fit together."""
    names = Names(step.template.name for step in program.steps if isinstance(step, Call))
    wanted: frozenset[Key] = frozenset()
    while True:
        attempt = _Pass(program, names, wanted)
        spec = attempt.run()
        if attempt.missing <= wanted:
            return spec
        wanted |= attempt.missing


class _Pass:
    def __init__(self, program: Program, names: Names, wanted: frozenset[Key]) -> None:
        self.program = program
        self.names = names
        self.wanted = wanted
        self.missing: set[Key] = set()
        self.nodes: list[NodeSpec] = []
        self.root = Scope(None)
        self.scopes: dict[int, Scope] = {0: self.root}  # by region
        self.parents: dict[int, int] = {}
        self.moved: dict[int, Moved] = {}  # by region: handles that were brought along into it
        self.outputs: dict[int, Leaf] = {}  # by call
        self.elements: dict[tuple[int, str], Leaf] = {}  # by region and parameter
        self.opened: dict[Key, Scope] = {}
        self.packs = 0
        self.site = ""

    def run(self) -> GraphSpec:
        for step in self.program.steps:
            self.site = step.site
            if isinstance(step, Call):
                self._call(step)
            else:
                self._region(step)
        result = None if self.program.result is None else self._result(self.program.result)
        return GraphSpec(
            name=self.program.name,
            nodes=tuple(self.nodes),
            inputs=self.program.inputs,
            result=result,
            description=self.program.description,
        )

    def _result(self, term: Term) -> Binding:
        return binding(self._tree(term, 0), lambda leaf: self._bound(leaf, self.root))

    # --- steps ---

    def _call(self, call: Call) -> None:
        caller = self.scopes[call.region]
        args = {name: self._argument(arg, call.region) for name, arg in call.args.items()}
        found = points(*args.values())
        if call.mapped:
            scope = self._deepest(found, caller, call.template.name)
        else:
            scope = caller
            self._check_reachable(found, caller, call.template.name)
        self.outputs[call.index] = Leaf(self._place(call, args, scope))

    def _region(self, region: Region) -> None:
        """Where the body of a mapped graph stands, and what has to be brought along for it."""
        self.parents[region.index] = region.parent
        caller = self.scopes[region.parent]
        args = {name: self._argument(arg, region.parent) for name, arg in region.args.items()}
        for name, arg in args.items():
            if isinstance(region.args[name], Spread) and isinstance(arg, Leaf):
                self.elements[region.index, name] = arg
        scope = self._deepest(points(*args.values()), caller, region.name)
        free = points(*(self._source(source, region.parent) for source in self._free(region)))
        needed = points(*args.values(), *(Leaf(point) for point in free if encloses(point.scope, scope)))
        self.moved[region.index], self.scopes[region.index] = self._bring(needed, scope, region.name, entirely=True)

    def _free(self, region: Region) -> list[Out | Elem]:
        """The handles from outside that the body of a mapped graph uses, other than by its parameters."""
        inside, made, used = {region.index}, set(), []
        for step in self.program.steps:
            at = step.region if isinstance(step, Call) else step.parent
            if at not in inside:
                continue
            if isinstance(step, Call):
                made.add(step.index)
            else:
                inside.add(step.index)
            used += [source for arg in step.args.values() for source in sources(arg)]
        return [
            source
            for source in dict.fromkeys(used)
            if (source.call not in made if isinstance(source, Out) else source.region not in inside)
        ]

    # --- terms ---

    def _argument(self, arg: Argument, region: int) -> Tree:
        return (
            Leaf(self._start(self._spread(arg.source, region))) if isinstance(arg, Spread) else self._tree(arg, region)
        )

    def _tree(self, term: Term, region: int) -> Tree:
        match term:
            case Const(json):
                return Value(value=msgspec.json.decode(json))
            case Input(name, path):
                return RunInput(name=name, path=path)
            case Seq(items):
                return [self._tree(item, region) for item in items]
            case Fields(items):
                return {name: self._tree(item, region) for name, item in items}
            case Out() | Elem():
                return self._source(term, region)

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
                    return self._by_edge(leaf)
                self._check_reachable([leaf.point], caller, "each")
                over = self._bound(leaf, caller)
                return self._by_list(caller, over, (id(leaf.point), leaf.path))
            case Const() | Input():
                over = binding(self._tree(source, region), lambda leaf: self._bound(leaf, caller))
                return self._by_list(caller, over, (source,))
            case _:
                raise misuse(
                    "each() cannot go over a list that is put together from handles.",
                    "Return the list from a node and pass its handle to each().",
                    place=self.site,
                )

    # --- scopes ---

    def _by_edge(self, leaf: Leaf) -> Scope:
        source = leaf.point
        if isinstance(source.scope.origin, ByItems) and source is source.scope.start:
            over = self._bound(leaf, source.scope)  # an edge would start above the item: expand it below
            return self._by_list(source.scope, over, (id(source), leaf.path))
        source.name = source.name or self._want(source.scope)
        return self._open(
            Scope(source.scope, f"each({source.name})", ByEdge(source, leaf.path)), (source.name, leaf.path)
        )

    def _by_list(self, parent: Scope, over: Binding, key: Key) -> Scope:
        if parent.start is not None and not parent.start.name:
            parent.start.name = self._want(parent)
        named = over.name if isinstance(over, RunInput) else "a list"
        return self._open(Scope(parent, f"each({named})", ByList(over)), ("list", id(parent), *key))

    def _open(self, scope: Scope, key: Key) -> Scope:
        if key in self.opened:
            return self.opened[key]
        self.opened[key] = scope
        scope.key = self._stable(scope)
        scope.start = Point(scope, self._up(scope))
        if scope.key in self.wanted:
            scope.start.name = self.names.item(scope.key, self._base(scope))
            fire, expand = self._entry(scope, scope.start.name)
            self._emit(_item(scope.start.name, fire, expand, self._element(scope)))
        return scope

    def _stable(self, scope: Scope) -> Key:
        """What names a scope the same way in every pass."""
        parent = scope.parent.key if scope.parent else ()
        match scope.origin:
            case ByEdge(source, path):
                return ("edge", source.name, path)
            case ByItems(source):
                return ("items", source.name)
            case ByList(over):
                return ("list", parent, msgspec.json.encode(over))
            case None:
                return ()

    @staticmethod
    def _up(scope: Scope) -> Point | None:
        match scope.origin:
            case ByEdge(source, _) | ByItems(source):
                return source
            case _:
                return scope.parent.start if scope.parent else None

    @staticmethod
    def _base(scope: Scope) -> str:
        match scope.origin:
            case ByEdge(source, _) | ByItems(source):
                return source.name
            case ByList(RunInput(name=name)):
                return name
            case _:
                return "each"

    def _want(self, scope: Scope) -> str:
        """The name of the inline item node of a scope; if there is none yet, the next pass makes it."""
        self.missing.add(scope.key)
        return self.names.item(scope.key, self._base(scope))

    @staticmethod
    def _start(scope: Scope) -> Point:
        assert scope.start is not None, "only the graph's own scope has no start"
        return scope.start

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

    # --- placing nodes ---

    def _place(self, call: Call, args: Mapping[str, Tree], scope: Scope) -> Point:
        """Emit the node of a call; the point that its output is."""
        name = call.template.name
        moved, scope = self._bring(points(*args.values()), scope, name, entirely=False)
        args = {key: replaced(arg, moved) for key, arg in args.items()}
        found = points(*args.values())
        if _strangers(found, scope):
            task = self._place_across(call, args, scope)
        else:
            fire, expand, up = self._firing(found, scope, call.policy, name)
            task = Point(scope, up, name, many=call.many)
            optional = _optional(fire, up)
            bind = {key: binding(arg, lambda leaf: self._bound(leaf, scope, optional)) for key, arg in args.items()}
            self._emit(replace(call.template, fire=fire, expand=expand, bind=bind))
        if not call.many:
            return task
        return self._start(self._open(Scope(task.scope, f"the items of {name}", ByItems(task)), ("items", name)))

    def _place_across(self, call: Call, args: Mapping[str, Tree], scope: Scope) -> Point:
        """A mapped node that also needs what does not lie above its source: a join out there, with its own expand."""
        name = call.template.name
        at, inner, near, _ = _split(points(*args.values()), scope)
        over, way = self._listing(inner[0], at)
        fire, up = self._join([*way, *near], at, call.policy)
        optional = _optional(fire, up)

        def bound(leaf: Leaf) -> Binding:
            if leaf.point is inner[0]:
                return Element(of=name, path=leaf.path)
            return self._bound(leaf, at, optional)

        bind = {key: binding(arg, bound) for key, arg in args.items()}
        self._emit(replace(call.template, fire=fire, expand=Expand(over=over), bind=bind))
        own = Scope(at, f"each element of {name}", key=("own", name))
        own.start = Point(own, up, name, many=call.many)
        return own.start

    def _bring(self, found: Sequence[Point], scope: Scope, name: str, *, entirely: bool) -> tuple[Moved, Scope]:
        """Pack handles of outer scopes with each element, until one join can have the rest (or `entirely`)."""
        moved: Moved = {}
        while _strangers(found, scope):
            at, inner, near, far = _split(found, scope)
            if len(inner) > 1:
                pack = self._pack({str(i): Leaf(point) for i, point in enumerate(inner)}, scope, name)
                step = {point: Leaf(pack, (str(i),)) for i, point in enumerate(inner)}
                scope = pack.scope
            elif far or entirely:
                close = [point for point in near if point not in far]
                over, way = self._listing(inner[0], at)
                packed = {str(i): Leaf(point) for i, point in enumerate(close)}
                pack = self._pack(packed, at, name, over, way)
                scope = self._by_edge(Leaf(pack, ("each",)))
                step = {point: Leaf(pack, (str(i),)) for i, point in enumerate(close)}
                step[inner[0]] = Leaf(self._start(scope))
            else:
                break
            moved = {point: leaf.moved(step) for point, leaf in moved.items()} | {
                point: leaf for point, leaf in step.items() if point in found and point not in moved
            }
            found = points(*(Leaf(point).moved(step) for point in found))
        return moved, scope

    def _pack(
        self, fields: dict[str, Leaf], scope: Scope, name: str, over: Binding | None = None, way: Sequence[Point] = ()
    ) -> Point:
        """One inline node whose item is an object of handles: its own expand goes over a list of just that object."""
        fire, up = self._way([*way, *(leaf.point for leaf in fields.values())], scope)
        whole = {key: self._bound(leaf, scope) for key, leaf in fields.items()}
        if over is not None:
            whole["each"] = over
        self.packs += 1
        node = self.names.item(("pack", self.packs), name)
        one = Expand(over=ListOf(items=(ObjectOf(fields=whole),)))
        self._emit(_item(node, fire, one, Element(of=node)))
        own = Scope(scope, f"each element of {node}", key=("own", node))
        own.start = Point(own, up, node)
        return own.start

    def _listing(self, point: Point, scope: Scope) -> tuple[Binding, list[Point]]:
        """The list in `scope` whose elements a handle stands for, and the way to it."""
        if point is point.scope.start and point.scope.parent is scope:
            match point.scope.origin:
                case ByEdge(source, path):
                    return self._bound(Leaf(source, path), scope), [source]
                case ByList(over):
                    return over, []
        return self._bound(Leaf(point), scope), [point]

    # --- firing ---

    def _firing(
        self, found: Sequence[Point], scope: Scope, policy: Policy, name: str
    ) -> tuple[Each | Join, Expand | None, Point | None]:
        open_ways = self._ways(found, scope)
        if not open_ways:
            return Each(), None, None
        only = open_ways[0]
        if len(open_ways) == 1 and only.scope is scope and policy == "all_success":
            if only is scope.start:
                fire, expand = self._entry(scope, name) if not only.name else (Each(way=Edge(node=only.name)), None)
                return fire, expand, only
            return Each(way=Edge(node=only.name)), None, only
        join, up = self._join(found, scope, policy)
        return join, None, up

    def _way(self, found: Sequence[Point], scope: Scope) -> tuple[Each | Join, Point | None]:
        """As `_firing`, but by an edge that does not expand: the node has an expand of its own."""
        open_ways = self._ways(found, scope)
        if len(open_ways) == 1 and open_ways[0].scope is scope:
            return Each(way=Edge(node=self._real(open_ways[0]))), open_ways[0]
        return self._join(found, scope, "all_success")

    def _join(self, found: Sequence[Point], scope: Scope, policy: Policy) -> tuple[Join, Point | None]:
        open_ways = self._ways(found, scope)
        anchor = scope.start if policy == "all_done" else nearest_common(open_ways, scope)
        of = tuple(dict.fromkeys(self._node_of(way) for way in open_ways))
        return Join(anchor=self._real(anchor) if anchor else None, of=of, policy=policy), anchor

    @staticmethod
    def _ways(found: Sequence[Point], scope: Scope) -> list[Point]:
        return ways([*found, scope.start] if scope.start else found)

    def _entry(self, scope: Scope, name: str) -> tuple[Each, Expand | None]:
        """How the node `name` fires for each element of a scope that has no item node."""
        match scope.origin:
            case ByEdge(source, path):
                return Each(way=Edge(node=source.name, expand=path)), None
            case ByItems(source):
                return Each(way=Edge(node=source.name)), None
            case ByList(over):
                scope.carrier = scope.carrier or name
                if scope.carrier != name:
                    self._want(scope)
                start = scope.parent.start if scope.parent else None
                return Each(way=Edge(node=start.name) if start else None), Expand(over=over)
        raise AssertionError(scope.label)

    def _real(self, point: Point) -> str:
        """The node whose tasks a point is; an element gets an item node."""
        return point.name or self._want(point.scope)

    def _node_of(self, point: Point) -> str:
        """The node that an edge from this point comes from."""
        if not point.name and isinstance(point.scope.origin, ByItems):
            return point.scope.origin.source.name
        return self._real(point)

    # --- bindings ---

    def _bound(self, leaf: Leaf, scope: Scope, optional: Optional | None = None) -> Binding:
        """What a node at `scope` reads of a handle: its own branch's, or all of them if it lies deeper."""
        point, many = leaf.point, below(leaf.point.scope, scope)
        may_lack = optional is not None and optional(point)
        origin = point.scope.origin if point is point.scope.start else None
        if isinstance(origin, ByItems):
            return Ref(node=origin.source.name, path=leaf.path, many=many, optional=may_lack)
        if point.name or many or _hidden(point.scope, scope):
            return Ref(node=self._real(point), path=leaf.path, many=many, optional=may_lack)
        return self._element(point.scope, leaf)

    @staticmethod
    def _element(scope: Scope, leaf: Leaf | None = None) -> Binding:
        path = leaf.path if leaf else ()
        match scope.origin:
            case ByEdge(source, _):
                return Element(of=source.name, path=path)
            case ByItems(source):
                return Ref(node=source.name, path=path)
            case _:
                return Element(of=scope.carrier, path=path)

    def _emit(self, node: NodeSpec) -> None:
        self.nodes.append(node)


Optional = Callable[[Point], bool]


def _optional(fire: Each | Join, anchor: Point | None) -> Optional | None:
    """For `all_done`: whether a point may have no item. What lies above the anchor has one."""
    if not isinstance(fire, Join) or fire.policy != "all_done":
        return None
    return lambda point: not above(point, anchor)


def _hidden(outer: Scope, inner: Scope) -> bool:
    """Whether `Element(of=carrier)` would mean a nearer element: of an edge out of the carrier."""
    at: Scope | None = inner
    while at is not None and at is not outer:
        if isinstance(at.origin, ByEdge) and at.origin.source.name == outer.carrier:
            return True
        at = at.parent
    return False


def _strangers(found: Sequence[Point], scope: Scope) -> list[Point]:
    """Handles of enclosing scopes that do not lie above the element of this one."""
    return [point for point in found if below(scope, point.scope) and not above(point, scope.start)]


def _split(found: Sequence[Point], scope: Scope) -> tuple[Scope, list[Point], list[Point], list[Point]]:
    """The deepest scope of strangers; the handles below it; those at or above it; of these, strangers to it too."""
    at = max((point.scope for point in _strangers(found, scope)), key=lambda outer: outer.depth)
    inner = [point for point in found if below(point.scope, at)]
    near = [point for point in found if not below(point.scope, at)]
    return at, inner, near, _strangers(near, at)


def _item(name: str, fire: Each | Join, expand: Expand | None, item: Binding) -> NodeSpec:
    return NodeSpec(name=name, kind=ITEM_KIND, fire=fire, expand=expand, bind={"item": item})


def _way(scope: Scope) -> str:
    """A scope as people read it: `each(years) / each(pages)`."""
    labels: list[str] = []
    at: Scope | None = scope
    while at is not None and at.parent is not None:
        labels.append(at.label)
        at = at.parent
    return " / ".join(reversed(labels)) or "the graph"
