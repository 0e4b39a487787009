"""Random graphs as `stoker.selftest.drawing` draws them, with kinds and options for the core's tests."""

from __future__ import annotations

from random import Random
from typing import Any

from msgspec.structs import replace

from stoker.core.graph import (
    ITEM_KIND,
    Binding,
    Defaults,
    Each,
    Edge,
    GraphSpec,
    InputSpec,
    Join,
    KindSpec,
    NodeSpec,
    Retry,
    RunInput,
    Value,
)
from stoker.selftest.conditions import Told
from stoker.selftest.drawing import PARTS, Drawing, Drawn

KINDS = {"one": KindSpec(name="one"), "many": KindSpec(name="many", items="many", max_attempts=2)}
CONDITIONS: Told = {
    "index < 2": lambda item, index: index < 2,
    "item.n % 2 == 0": lambda item, index: item["n"] % 2 == 0,
    "size(item.parts) > 1": lambda item, index: len(item["parts"]) > 1,
    "item != null": lambda item, index: item is not None,
    "inputs.xs[0].n == 1 && index != 1": lambda item, index: index != 1,
    "item.n": lambda item, index: item["n"],
}


class Draw(Drawing):
    """Items may lack parts, lists may be none: what cannot be bound or expanded is drawn too."""

    sizes = (3, 11)
    ways = ((None, PARTS, ()), (6, 4, 0.3))

    def kind(self, *, element: bool) -> str:
        return self.dice.choices(("one", "many", ITEM_KIND), (6, 2, 2))[0]

    def several(self, kind: str) -> bool:
        return kind == "many"

    def literal(self) -> Binding:
        if self.chance(0.3):
            return RunInput(name="xs")
        if self.chance(0.05):
            return Value(value="no list")
        return Value(value=[{"n": number, "parts": [number]} for number in range(self.dice.choice((0, 1, 2, 2)))])

    def options(self, drawn: Drawn) -> dict[str, Any]:
        retry = Retry(attempts=self.dice.randint(1, 3), base=self.dice.choice((0, "1s")))
        return {
            "retry": retry if self.chance(0.4) else None,
            "timeout": "10s" if self.chance(0.4) else None,
            "task_timeout": "40s" if self.chance(0.05) else None,
            "queue_timeout": "15s" if self.chance(0.05) else None,
            "max_losses": self.dice.choice((1, 2, 3, None)),
            "losses_are_failures": self.dice.choice((True, False, *[None] * 6)),
            "tolerated": self.chance(0.2),
        }


def random_graph(dice: Random) -> GraphSpec:
    spec = GraphSpec(
        name="random",
        nodes=tuple(Draw(dice).nodes()),
        inputs={"xs": InputSpec(required=False, default=[])},
        defaults=_defaults(dice),
        on_failure="stop" if dice.random() < 0.1 else "continue",
    )
    chance = dice.choice((0.0, 0.0, 0.15, 0.4))
    return replace(spec, nodes=tuple(_conditioned(node, dice, chance) for node in spec.nodes))


def _defaults(dice: Random) -> Defaults:
    if dice.random() < 0.85:
        return Defaults()
    return Defaults(retry=Retry(attempts=2, base="1s"), timeout="20s", losses_are_failures=True, max_losses=2)


def _conditioned(node: NodeSpec, dice: Random, chance: float) -> NodeSpec:
    """The same node, with conditions on some of the edges into it."""
    match node.fire:
        case Each(way=Edge() as way) if dice.random() < chance:
            return replace(node, fire=Each(way=replace(way, when=_condition(dice))))
        case Join(of=of) as join:
            when = {one: _condition(dice) for one in of if dice.random() < chance}
            return replace(node, fire=replace(join, when=when))
        case _:
            return node


def _condition(dice: Random) -> str:
    return dice.choices(list(CONDITIONS), (5, 4, 4, 4, 2, 1))[0]
