"""How a random graph is drawn: every way to fire, nested, with legal anchors and references. A seed is a graph.

What its nodes do, and under which options, a subclass says: the grinder's own (`draw`), and that of the core's tests.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from stoker.core.graph import (
    Binding,
    Each,
    Edge,
    Element,
    Expand,
    Join,
    ListOf,
    NodeSpec,
    ObjectOf,
    Path,
    Ref,
)

PARTS: Path = ("parts",)
_POLICIES: tuple[Literal["all_success", "all_done"], ...] = ("all_success", "all_done")


@dataclass(frozen=True, slots=True)
class Drawn:
    """`line`: the nodes whose tasks stand above its own, itself last. `steps`: what its branch is made of.

    `before`: all from which a way leads to it.
    """

    name: str
    kind: str
    line: tuple[str, ...]
    steps: tuple[object, ...]
    before: frozenset[str] = frozenset()


_TRIGGER = Drawn("", "", ("",), ())


class Drawing(ABC):
    """Draws one graph. `dice` decides everything. `sizes`: how many nodes; `ways`: how an edge expands, how likely."""

    sizes = (3, 9)
    ways: tuple[tuple[Path | None, ...], tuple[float, ...]] = ((None, PARTS), (6, 4))

    def __init__(self, dice: Random) -> None:
        self.dice = dice
        self.drawn: dict[str, Drawn] = {}
        self._nodes: list[NodeSpec] = []

    # --- what a subclass says ---

    @abstractmethod
    def kind(self, *, element: bool) -> str:
        """What a node runs; `element`: whether its tasks have one to settle with."""

    @abstractmethod
    def several(self, kind: str) -> bool:
        """Whether a task of this kind settles with any number of items."""

    @abstractmethod
    def literal(self) -> Binding:
        """A list to expand that no node has made."""

    @abstractmethod
    def options(self, drawn: Drawn) -> dict[str, Any]:
        """Retry, limits and whatever else a node may carry."""

    def bound(self, drawn: Drawn, bind: dict[str, Binding]) -> dict[str, Binding]:
        """The inputs of a node, of what was drawn for it."""
        return bind

    # --- the shape ---

    def nodes(self) -> list[NodeSpec]:
        for number in range(self.dice.randint(*self.sizes)):
            name = f"n{number}"
            if number == 0 or self.chance(0.08):
                self._first(name)
            elif number == 1 or self.chance(0.5):
                self._each(name)
            else:
                self._join(name)
        return self.dice.sample(self._nodes, len(self._nodes))

    def chance(self, of: float) -> bool:
        return self.dice.random() < of

    def _first(self, name: str) -> None:
        self._add(name, _TRIGGER, (), frozenset(), Each(), self.literal() if self.chance(0.25) else None, {})

    def _each(self, name: str) -> None:
        """Behind one node: once per item of it, or per element of an item; and perhaps per element of its own list."""
        parent = self.drawn[self.dice.choice(list(self.drawn))]
        many = self.several(parent.kind)
        expand = self.dice.choices(*self.ways)[0]
        over: Binding | None = None
        if expand is None and not many and self.chance(0.3):
            over = self.literal() if self.chance(0.3) else Ref(node=parent.name, path=PARTS)
        steps: tuple[object, ...] = ((parent.name, "item"),) if many else ()
        steps += () if expand is None else ((parent.name, expand),)
        bind: dict[str, Binding] = {} if many else {"x": Ref(node=parent.name)}
        if expand is not None:
            bind["element"] = Element(of=parent.name)
        elif over is not None and self.chance(0.5):
            bind["element"] = Element(of=name)
        fire = Each(way=Edge(node=parent.name, expand=expand))
        self._add(name, parent, steps, parent.before | {parent.name}, fire, over, bind)

    def _join(self, name: str) -> None:
        """Behind a few nodes, once per task of a node that stands above all of them, or once."""
        of = self.dice.sample(list(self.drawn), self.dice.randint(1, min(3, len(self.drawn))))
        shared = set.intersection(*(set(self.drawn[one].line) for one in of))
        top = self.dice.choice(sorted(shared, key=lambda one: (len(one), one)))
        anchor = self.drawn.get(top, _TRIGGER)
        before = frozenset(of).union(*(self.drawn[one].before for one in of))
        between = sorted(one for one in before if top in self.drawn[one].line[:-1])
        alone = [one for one in between if self._alone(one, anchor)]
        over = self._gathered(between, alone) if self.chance(0.3) else None
        fire = Join(anchor=top or None, of=tuple(of), policy=self.dice.choice(_POLICIES))
        self._add(name, anchor, (), before, fire, over, self._of_members(top, between, alone))

    def _alone(self, name: str, anchor: Drawn) -> bool:
        """Whether there is one item of a node for each task of the anchor."""
        return self.drawn[name].steps == anchor.steps and not self.several(self.drawn[name].kind)

    def _of_members(self, top: str, between: list[str], alone: list[str]) -> dict[str, Binding]:
        bind: dict[str, Binding] = {}
        if between and self.chance(0.7):
            bind["gathered"] = Ref(node=self.dice.choice(between), many=True)
        if top and self.chance(0.2):
            bind["anchors"] = ListOf(items=(Ref(node=top, many=True),))
        if alone and self.chance(0.6):
            bind["one"] = ObjectOf(fields={"deep": Ref(node=self.dice.choice(alone))})
        if alone and self.chance(0.3):
            bind["maybe"] = Ref(node=self.dice.choice(alone), optional=True)
        return bind

    def _gathered(self, between: list[str], alone: list[str]) -> Binding:
        """What a join expands: a list, all items of a node, or the parts of one."""
        choices = [self.literal()]
        if between:
            choices += [Ref(node=self.dice.choice(between), many=True)] * 3
        if alone:
            choices.append(Ref(node=self.dice.choice(alone), path=PARTS, optional=self.chance(0.5)))
        return self.dice.choice(choices)

    def _add(
        self,
        name: str,
        above: Drawn,
        steps: tuple[object, ...],
        before: frozenset[str],
        fire: Each | Join,
        over: Binding | None,
        bind: dict[str, Binding],
    ) -> None:
        kind = self.kind(element=over is not None or "element" in bind)
        own: tuple[object, ...] = () if over is None else (name,)
        drawn = self.drawn[name] = Drawn(name, kind, (*above.line, name), (*above.steps, *steps, *own), before)
        expand = None if over is None else Expand(over=over)
        bound = self.bound(drawn, bind)
        self._nodes.append(NodeSpec(name=name, kind=kind, fire=fire, bind=bound, expand=expand, **self.options(drawn)))
