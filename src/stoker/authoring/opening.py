"""The scopes of a program and their elements: opening them, how a node gets in, what a handle reads. Pure.

An element has no node of its own until something needs one (a join anchored at it, a gather of it, an expansion below
it): then `missing` says so, and the next pass gives it an inline `item` node.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from stoker.authoring.names import Names
from stoker.authoring.scopes import ByEdge, ByItems, ByList, Point, Scope, below
from stoker.authoring.trees import Leaf
from stoker.core.graph import ITEM_KIND, Binding, Each, Edge, Element, Expand, Join, NodeSpec, Ref, RunInput

Key = tuple[object, ...]
Optional = Callable[[Point], bool]


class Scopes:
    """What has been opened and emitted so far in one pass."""

    def __init__(self, names: Names, wanted: frozenset[Key]) -> None:
        self.names = names
        self.wanted = wanted
        self.missing: set[Key] = set()
        self.nodes: list[NodeSpec] = []
        self.root = Scope(None)
        self.opened: dict[Key, Scope] = {}

    def by_edge(self, leaf: Leaf) -> Scope:
        """Each element of the list that a handle is."""
        source = leaf.point
        if isinstance(source.scope.origin, ByItems) and source is source.scope.start:
            over = self.bound(leaf, source.scope)  # an edge would start above the item: expand it below
            return self.by_list(source.scope, over, (id(source), leaf.path))
        source.name = source.name or self._want(source.scope)
        return self.open(
            Scope(source.scope, f"each({source.name})", ByEdge(source, leaf.path)), (source.name, leaf.path)
        )

    def by_list(self, parent: Scope, over: Binding, key: Key) -> Scope:
        """Each element of a list that no edge carries, anew for each element of `parent`."""
        if parent.start is not None and not parent.start.name:
            parent.start.name = self._want(parent)
        named = over.name if isinstance(over, RunInput) else "a list"
        return self.open(Scope(parent, f"each({named})", ByList(over)), ("list", id(parent), *key))

    def open(self, scope: Scope, key: Key) -> Scope:
        """The scope, or the one that was opened with this key before: the same source gives the same scope."""
        if key in self.opened:
            return self.opened[key]
        self.opened[key] = scope
        scope.key = self._stable(scope)
        scope.start = Point(scope, self._up(scope))
        if scope.key in self.wanted:
            scope.start.name = self.names.item(scope.key, self._base(scope))
            fire, expand = self.entry(scope, scope.start.name)
            self.emit(item_node(scope.start.name, fire, expand, self.element(scope)))
        return scope

    def entry(self, scope: Scope, name: str) -> tuple[Each, Expand | None]:
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

    def bound(self, leaf: Leaf, scope: Scope, optional: Optional | None = None) -> Binding:
        """What a node at `scope` reads of a handle: its own branch's, or all of them if it lies deeper."""
        point, many = leaf.point, below(leaf.point.scope, scope)
        may_lack = optional is not None and optional(point)
        origin = point.scope.origin if point is point.scope.start else None
        if isinstance(origin, ByItems):
            return _ref(origin.source.name, leaf, many=many, optional=may_lack)
        if point.name or many or _hidden(point.scope, scope):
            return _ref(self.real(point), leaf, many=many, optional=may_lack)
        return self.element(point.scope, leaf)

    def real(self, point: Point) -> str:
        """The node whose tasks a point is; an element gets an item node."""
        return point.name or self._want(point.scope)

    def node_of(self, point: Point) -> str:
        """The node that an edge from this point comes from."""
        if not point.name and isinstance(point.scope.origin, ByItems):
            return point.scope.origin.source.name
        return self.real(point)

    @staticmethod
    def element(scope: Scope, leaf: Leaf | None = None) -> Binding:
        """The element that this branch goes through, or a part of it."""
        path = leaf.path if leaf else ()
        match scope.origin:
            case ByEdge(source, _):
                return Element(of=source.name, path=path)
            case ByItems(source):
                return Ref(node=source.name, path=path)
            case _:
                return Element(of=scope.carrier, path=path)

    def _want(self, scope: Scope) -> str:
        """The name of the inline item node of a scope; if there is none yet, the next pass makes it."""
        self.missing.add(scope.key)
        return self.names.item(scope.key, self._base(scope))

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

    def emit(self, node: NodeSpec) -> None:
        self.nodes.append(node)


def _ref(node: str, leaf: Leaf, *, many: bool, optional: bool) -> Ref:
    optional = not many and (optional or leaf.spared is not msgspec.UNSET)
    default = msgspec.UNSET if many or leaf.spared is None else leaf.spared
    return Ref(node=node, path=leaf.path, many=many, optional=optional, default=default)


def item_node(name: str, fire: Each | Join, expand: Expand | None, item: Binding) -> NodeSpec:
    """An inline node: its item is the element that made it."""
    return NodeSpec(name=name, kind=ITEM_KIND, fire=fire, expand=expand, bind={"item": item})


def _hidden(outer: Scope, inner: Scope) -> bool:
    """Whether `Element(of=carrier)` would mean a nearer element: of an edge out of the carrier."""
    at: Scope | None = inner
    while at is not None and at is not outer:
        if isinstance(at.origin, ByEdge) and at.origin.source.name == outer.carrier:
            return True
        at = at.parent
    return False
