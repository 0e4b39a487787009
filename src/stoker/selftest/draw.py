"""Random graphs for the grinder: every way to fire, nested, with legal anchors and references. A seed is a graph."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal

from stoker.core.graph import (
    ITEM_KIND,
    Binding,
    Each,
    Edge,
    Element,
    Expand,
    GraphSpec,
    InputSpec,
    Join,
    Limit,
    NodeSpec,
    ObjectOf,
    Path,
    Ref,
    Retry,
    RunInput,
    Value,
)

PARTS: Path = ("parts",)
SEED = "seed"
WIDE_SHARE = 0.03
LIMITS = (
    Limit(key="one", most=1),
    Limit(key="three", most=3),
    Limit(key="often", rate="50/s"),
    Limit(key="two at 20", most=2, rate="20/s"),
)
_POLICIES: tuple[Literal["all_success", "all_done"], ...] = ("all_success", "all_done")


def random_graph(dice: Random, name: str) -> GraphSpec:
    """A graph of the steps in `work.py`. Its one input is the seed of what they do."""
    nodes = _wide() if dice.random() < WIDE_SHARE else _Drawing(dice).nodes()
    return GraphSpec(name=name, nodes=tuple(nodes), inputs={SEED: InputSpec(schema={"type": "string"})})


def _wide() -> list[NodeSpec]:
    """A fan-out that is made in slices, and the join behind it."""
    gathered: dict[str, Binding] = {"gathered": Ref(node="part", many=True)}
    ways = Each(way=Edge(node="all", expand=PARTS))
    return [
        NodeSpec(name="all", kind="wide"),
        NodeSpec(name="part", kind="narrow", fire=ways, bind=_given({}), max_losses=50),
        NodeSpec(name="end", kind="narrow", fire=Join(anchor="all", of=("part",)), bind=_given(gathered)),
    ]


def _given(fields: dict[str, Binding]) -> dict[str, Binding]:
    return {"given": ObjectOf(fields=fields)}


@dataclass(frozen=True, slots=True)
class _Drawn:
    """`line`: the nodes whose tasks stand above its own, itself last. `steps`: what its branch is made of.

    `before`: all from which a way leads to it.
    """

    name: str
    kind: str
    line: tuple[str, ...]
    steps: tuple[object, ...]
    before: frozenset[str]

    @property
    def many(self) -> bool:
        return self.kind == "steps"


_TRIGGER = _Drawn("", "", ("",), (), frozenset())


class _Drawing:
    def __init__(self, dice: Random) -> None:
        self._dice = dice
        self._drawn: dict[str, _Drawn] = {"": _TRIGGER}
        self._nodes: list[NodeSpec] = []

    def nodes(self) -> list[NodeSpec]:
        for number in range(self._dice.randint(3, 9)):
            name = f"n{number}"
            if number == 0 or self._dice.random() < 0.08:
                self._first(name)
            elif number == 1 or self._dice.random() < 0.5:
                self._each(name)
            else:
                self._join(name)
        return self._dice.sample(self._nodes, len(self._nodes))

    def _first(self, name: str) -> None:
        over = self._literal() if self._chance(0.2) else None
        self._add(name, self._kind(element=over is not None), _TRIGGER, (), frozenset(), Each(), over)

    def _each(self, name: str) -> None:
        """Behind one node: once per item of it, or per part of an item."""
        parent = self._drawn[self._dice.choice(list(self._drawn)[1:])]
        expand = PARTS if self._chance(0.4) else None
        over: Binding | None = None
        if expand is None and not parent.many and self._chance(0.2):
            over = Ref(node=parent.name, path=PARTS)
        steps: tuple[object, ...] = ((parent.name, "item"),) if parent.many else ()
        steps += ((parent.name, "part"),) if expand else ()
        bind: dict[str, Binding] = {} if parent.many else {"x": Ref(node=parent.name)}
        if expand:
            bind["element"] = Element(of=parent.name)
        fire = Each(way=Edge(node=parent.name, expand=expand))
        kind = self._kind(element=bool(expand or over))
        self._add(name, kind, parent, steps, parent.before | {parent.name}, fire, over, bind)

    def _join(self, name: str) -> None:
        """Behind a few nodes, once per task of a node that stands above all of them, or once."""
        count = self._dice.randint(1, min(3, len(self._nodes)))
        of = self._dice.sample(list(self._drawn)[1:], count)
        shared = set.intersection(*(set(self._drawn[one].line) for one in of))
        anchor = self._drawn[self._dice.choice(sorted(shared, key=lambda one: (len(one), one)))]
        before = frozenset(of).union(*(self._drawn[one].before for one in of))
        between = sorted(one for one in before if anchor.name in self._drawn[one].line[:-1])
        alone = [one for one in between if self._drawn[one].steps == anchor.steps and not self._drawn[one].many]
        bind: dict[str, Binding] = {}
        if between and self._chance(0.7):
            bind["gathered"] = Ref(node=self._dice.choice(between), many=True)
        if alone and self._chance(0.5):
            bind["one"] = Ref(node=self._dice.choice(alone))
        if alone and self._chance(0.3):
            bind["maybe"] = Ref(node=self._dice.choice(alone), optional=True)
        over = self._gathered_over(between) if self._chance(0.2) else None
        fire = Join(anchor=anchor.name or None, of=tuple(of), policy=self._dice.choice(_POLICIES))
        self._add(name, self._kind(element=over is not None), anchor, (), before, fire, over, bind)

    def _gathered_over(self, between: list[str]) -> Binding:
        return Ref(node=self._dice.choice(between), many=True) if between else self._literal()

    def _add(
        self,
        name: str,
        kind: str,
        above: _Drawn,
        steps: tuple[object, ...],
        before: frozenset[str],
        fire: Each | Join,
        over: Binding | None,
        bind: dict[str, Binding] | None = None,
    ) -> None:
        own: tuple[object, ...] = (name,) if over is not None else ()
        self._drawn[name] = _Drawn(name, kind, (*above.line, name), (*above.steps, *steps, *own), before)
        given = {**_given(bind or {}), SEED: RunInput(name=SEED)}
        self._nodes.append(
            NodeSpec(
                name=name,
                kind=kind,
                fire=fire,
                bind=(bind or {}) if kind == ITEM_KIND else given,
                expand=None if over is None else Expand(over=over),
                retry=Retry(attempts=self._dice.randint(1, 4), base="200ms") if self._chance(0.6) else None,
                timeout="1s" if self._chance(0.2) else None,
                max_losses=self._dice.choice((2, 10, 50)),
                priority=self._dice.randint(0, 9),
                tolerated=self._chance(0.2),
                limit=self._limit() if kind != ITEM_KIND and self._chance(0.15) else None,
            )
        )

    def _kind(self, *, element: bool) -> str:
        """A sort of step; one that settles with its element only where there is one."""
        return self._dice.choices(("step", "steps", "apart", ITEM_KIND), (65, 18, 3, 14 if element else 0))[0]

    def _limit(self) -> Limit:
        """One of a few keys that all graphs share; a key means the same in each of them."""
        return self._dice.choice(LIMITS)

    def _literal(self) -> Binding:
        return Value(value=[{"id": f"literal.{number}", "parts": []} for number in range(self._dice.choice((0, 1, 2)))])

    def _chance(self, of: float) -> bool:
        return self._dice.random() < of
