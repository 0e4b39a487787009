"""Random graphs: every way to fire, nested, with legal anchors and references."""

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
    KindSpec,
    ListOf,
    NodeSpec,
    ObjectOf,
    Path,
    Ref,
    Retry,
    RunInput,
    Value,
)

KINDS = {"one": KindSpec(name="one"), "many": KindSpec(name="many", items="many")}
PARTS: Path = ("parts",)
Policy = Literal["all_success", "all_done"]
POLICIES: tuple[Policy, Policy] = ("all_done", "all_success")


@dataclass
class Drawn:
    """A node drawn so far. `line`: its way from the trigger, itself last; `steps`: what its branch is made of."""

    name: str
    kind: str
    line: tuple[str, ...]
    steps: tuple[object, ...]
    before: frozenset[str] = frozenset()
    own: bool = False

    @property
    def many(self) -> bool:
        return self.kind == "many"


class Draw:
    """Draws one graph. `dice` decides everything, so that a seed is the graph."""

    def __init__(self, dice: Random) -> None:
        self.dice = dice
        self.drawn: dict[str, Drawn] = {}
        self.nodes: list[NodeSpec] = []

    def graph(self) -> GraphSpec:
        for number in range(self.dice.randint(3, 11)):
            name = f"n{number}"
            if not self.nodes or self.dice.random() < 0.08:
                self._first(name)
            elif len(self.nodes) < 2 or self.dice.random() < 0.5:
                self._each(name)
            else:
                self._join(name)
        shuffled = self.dice.sample(self.nodes, len(self.nodes))
        return GraphSpec(name="random", nodes=tuple(shuffled), inputs={"xs": InputSpec(required=False, default=[])})

    def _add(self, drawn: Drawn, fire: Each | Join, over: Binding | None, bind: dict[str, Binding]) -> None:
        chance = self.dice.random
        if over is not None:
            drawn.own, drawn.steps = True, (*drawn.steps, drawn.name)
        retry = Retry(attempts=self.dice.randint(1, 3), base=self.dice.choice((0, "1s")))
        self.drawn[drawn.name] = drawn
        self.nodes.append(
            NodeSpec(
                name=drawn.name,
                kind=drawn.kind,
                fire=fire,
                bind=bind,
                expand=None if over is None else Expand(over=over),
                retry=retry if chance() < 0.4 else None,
                timeout="10s" if chance() < 0.4 else None,
                max_losses=self.dice.randint(1, 3),
                tolerated=chance() < 0.2,
            )
        )

    def _kind(self) -> str:
        return self.dice.choices(("one", "many", ITEM_KIND), (6, 2, 2))[0]

    def _first(self, name: str) -> None:
        over = self._literal() if self.dice.random() < 0.25 else None
        self._add(Drawn(name, self._kind(), ("", name), ()), Each(), over, {})

    def _literal(self) -> Binding:
        if self.dice.random() < 0.3:
            return RunInput(name="xs")
        if self.dice.random() < 0.05:
            return Value(value="no list")
        return Value(value=[{"n": number, "parts": [number]} for number in range(self.dice.choice((0, 1, 2, 2)))])

    def _each(self, name: str) -> None:
        parent = self.drawn[self.dice.choice(list(self.drawn))]
        expand = self.dice.choices((None, PARTS, ()), (6, 4, 0.3))[0]
        over: Binding | None = None
        if expand is None and not parent.many and self.dice.random() < 0.3:
            over = self.dice.choice([self._literal(), Ref(node=parent.name, path=PARTS)])
        steps = parent.steps
        if parent.many:
            steps = (*steps, (parent.name, "item"))
        if expand is not None:
            steps = (*steps, (parent.name, expand))
        bind: dict[str, Binding] = {} if parent.many else {"x": Ref(node=parent.name)}
        if expand is not None:
            bind["element"] = Element(of=parent.name)
        drawn = Drawn(name, self._kind(), (*parent.line, name), steps, parent.before | {parent.name})
        self._add(drawn, Each(way=Edge(node=parent.name, expand=expand)), over, bind)

    def _join(self, name: str) -> None:
        of = self.dice.sample(list(self.drawn), self.dice.randint(1, min(3, len(self.drawn))))
        common = set.intersection(*(set(self.drawn[parent].line) for parent in of))
        top = self.dice.choice(sorted(common, key=lambda each: (len(each), each)))
        anchor = self.drawn.get(top)
        steps = anchor.steps if anchor else ()
        line = (*(anchor.line if anchor else ("",)), name)
        before = frozenset(of).union(*(self.drawn[parent].before for parent in of))
        between = sorted(member for member in before if top in self.drawn[member].line[:-1])
        single = [each for each in between if self.drawn[each].steps == steps and not self.drawn[each].many]
        bind: dict[str, Binding] = {}
        if between and self.dice.random() < 0.7:
            bind["all"] = Ref(node=self.dice.choice(between), many=True)
        if anchor and self.dice.random() < 0.2:
            bind["anchors"] = ListOf(items=(Ref(node=top, many=True),))
        if single and self.dice.random() < 0.7:
            bind["one"] = ObjectOf(fields={"deep": Ref(node=self.dice.choice(single))})
        if single and self.dice.random() < 0.3:
            bind["maybe"] = Ref(node=self.dice.choice(single), optional=True)
        policy: Policy = self.dice.choice(POLICIES)
        over = self._over(between, single) if self.dice.random() < 0.3 else None
        self._add(
            Drawn(name, self._kind(), line, steps, before),
            Join(anchor=top or None, of=tuple(of), policy=policy),
            over,
            bind,
        )

    def _over(self, between: list[str], single: list[str]) -> Binding:
        choices = [self._literal()]
        if between:
            choices += [Ref(node=self.dice.choice(between), many=True)] * 3
        if single:
            choices.append(Ref(node=self.dice.choice(single), path=PARTS, optional=self.dice.random() < 0.5))
        return self.dice.choice(choices)


def random_graph(dice: Random) -> GraphSpec:
    return Draw(dice).graph()
