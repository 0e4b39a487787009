"""Placing nodes in scopes: which handles are ways in, how the node fires, where its tasks then stand. Pure.

A handle that does not lie above the element it is used with cannot be reached by a reference. One such scope is met by
a join out there with its own expand; what remains is packed: an inline node makes one item of both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from stoker.authoring.misuse import misuse
from stoker.authoring.opening import Optional, Scopes, item_node
from stoker.authoring.program import Call, Policy
from stoker.authoring.scopes import ByEdge, ByItems, ByList, Point, Scope, above, below, nearest_common, start_of, ways
from stoker.authoring.trees import Leaf, Tree, binding, points, replaced
from stoker.core.graph import ITEM_KIND, Binding, Each, Edge, Element, Expand, Join, ListOf, NodeSpec, ObjectOf

Moved = dict[Point, Leaf]


class Placing:
    """Emits the nodes of one pass into its scopes."""

    def __init__(self, scopes: Scopes) -> None:
        self.scopes = scopes
        self.packs = 0

    def place(self, call: Call, args: Mapping[str, Tree], scope: Scope) -> Point:
        """Emit the node of a call; the point that its output is."""
        name = call.template.name
        moved, scope = self.bring(points(*args.values()), scope, name, entirely=False)
        args = {key: replaced(arg, moved) for key, arg in args.items()}
        found = points(*args.values())
        if _strangers(found, scope):
            if call.when is not None:
                raise misuse(
                    f"{name}.options(when=...).map() also needs a handle that is not above each element.",
                    "Put the condition on a node before it, or pass that handle through the mapped nodes.",
                    place=call.site,
                )
            task = self._place_across(call, args, scope)
        else:
            fire, expand, up = self._firing(found, scope, call.policy, name, conditional=call.when is not None)
            if call.when is not None:
                fire = self._conditional(fire, call.when, name)
            task = Point(scope, up, name, many=call.many)
            optional = _optional(fire, up)
            bind = {
                key: binding(arg, lambda leaf: self.scopes.bound(leaf, scope, optional)) for key, arg in args.items()
            }
            self.scopes.emit(replace(call.template, fire=fire, expand=expand, bind=bind))
        if not call.many:
            return task
        return start_of(self.scopes.open(Scope(task.scope, f"the items of {name}", ByItems(task)), ("items", name)))

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
            return self.scopes.bound(leaf, at, optional)

        bind = {key: binding(arg, bound) for key, arg in args.items()}
        self.scopes.emit(replace(call.template, fire=fire, expand=Expand(over=over), bind=bind))
        own = Scope(at, f"each element of {name}", key=("own", name))
        own.start = Point(own, up, name, many=call.many)
        return own.start

    def bring(self, found: Sequence[Point], scope: Scope, name: str, *, entirely: bool) -> tuple[Moved, Scope]:
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
                scope = self.scopes.by_edge(Leaf(pack, ("each",)))
                step = {point: Leaf(pack, (str(i),)) for i, point in enumerate(close)}
                step[inner[0]] = Leaf(start_of(scope))
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
        whole = {key: self.scopes.bound(leaf, scope) for key, leaf in fields.items()}
        if over is not None:
            whole["each"] = over
        self.packs += 1
        node = self.scopes.names.item(("pack", self.packs), name)
        one = Expand(over=ListOf(items=(ObjectOf(fields=whole),)))
        self.scopes.emit(item_node(node, fire, one, Element(of=node)))
        own = Scope(scope, f"each element of {node}", key=("own", node))
        own.start = Point(own, up, node)
        return own.start

    def _listing(self, point: Point, scope: Scope) -> tuple[Binding, list[Point]]:
        """The list in `scope` whose elements a handle stands for, and the way to it."""
        if point is point.scope.start and point.scope.parent is scope:
            match point.scope.origin:
                case ByEdge(source, path):
                    return self.scopes.bound(Leaf(source, path), scope), [source]
                case ByList(over):
                    return over, []
        return self.scopes.bound(Leaf(point), scope), [point]

    def _conditional(self, fire: Each | Join, when: str, name: str) -> Each | Join:
        """The same way of firing with a condition on all edges. What the trigger fires gets an edge to have one on."""
        match fire:
            case Join():
                return replace(fire, when=dict.fromkeys(fire.of, when))
            case Each(way=Edge() as way):
                return Each(way=replace(way, when=when))
            case _:
                start = self.scopes.names.item(("start", name), name)
                self.scopes.emit(NodeSpec(name=start, kind=ITEM_KIND))
                return Each(way=Edge(node=start, when=when))

    def _firing(
        self, found: Sequence[Point], scope: Scope, policy: Policy, name: str, *, conditional: bool
    ) -> tuple[Each | Join, Expand | None, Point | None]:
        open_ways = self._ways(found, scope)
        if not open_ways:
            return Each(), None, None
        only = open_ways[0]
        if len(open_ways) == 1 and only.scope is scope and policy == "all_success":
            if only is scope.start and conditional and isinstance(scope.origin, ByList):
                self.scopes.real(only)  # the condition is on each element, not on the list
            if only is scope.start and not only.name:
                return *self.scopes.entry(scope, name), only
            return Each(way=Edge(node=only.name)), None, only
        join, up = self._join(found, scope, policy)
        return join, None, up

    def _way(self, found: Sequence[Point], scope: Scope) -> tuple[Each | Join, Point | None]:
        """As `_firing`, but by an edge that does not expand: the node has an expand of its own."""
        open_ways = self._ways(found, scope)
        if len(open_ways) == 1 and open_ways[0].scope is scope:
            return Each(way=Edge(node=self.scopes.real(open_ways[0]))), open_ways[0]
        return self._join(found, scope, "all_success")

    def _join(self, found: Sequence[Point], scope: Scope, policy: Policy) -> tuple[Join, Point | None]:
        open_ways = self._ways(found, scope)
        anchor = scope.start if policy == "all_done" else nearest_common(open_ways, scope)
        of = tuple(dict.fromkeys(self.scopes.node_of(way) for way in open_ways))
        return Join(anchor=self.scopes.real(anchor) if anchor else None, of=of, policy=policy), anchor

    def join_all(self, found: Sequence[Point], scope: Scope) -> Join:
        """What waits for all of these, or just for the start of the scope, whatever becomes of them."""
        ways_in = self._ways(found, scope)
        of = tuple(dict.fromkeys(self.scopes.node_of(way) for way in ways_in))
        return Join(anchor=self.scopes.real(start_of(scope)), of=of, policy="all_done")

    @staticmethod
    def _ways(found: Sequence[Point], scope: Scope) -> list[Point]:
        return ways([*found, scope.start] if scope.start else found)


def _optional(fire: Each | Join, anchor: Point | None) -> Optional | None:
    """For `all_done`: whether a point may have no item. What lies above the anchor has one."""
    if not isinstance(fire, Join) or fire.policy != "all_done":
        return None
    return lambda point: not above(point, anchor)


def _strangers(found: Sequence[Point], scope: Scope) -> list[Point]:
    """Handles of enclosing scopes that do not lie above the element of this one."""
    return [point for point in found if below(scope, point.scope) and not above(point, scope.start)]


def _split(found: Sequence[Point], scope: Scope) -> tuple[Scope, list[Point], list[Point], list[Point]]:
    """The deepest scope of strangers; the handles below it; those at or above it; of these, strangers to it too."""
    at = max((point.scope for point in _strangers(found, scope)), key=lambda outer: outer.depth)
    inner = [point for point in found if below(point.scope, at)]
    near = [point for point in found if not below(point.scope, at)]
    return at, inner, near, _strangers(near, at)
