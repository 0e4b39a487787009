"""Random graphs for the grinder, of the steps in `work`. A seed is a graph.

Most are of steps that do anything; some of plain ones, whose items are known beforehand (`evaluate`).
"""

from __future__ import annotations

from random import Random
from typing import Any, Literal

from msgspec.structs import replace

from stoker.core.graph import (
    ITEM_KIND,
    Binding,
    Each,
    Edge,
    GraphSpec,
    InputSpec,
    Join,
    Limit,
    NodeSpec,
    ObjectOf,
    Ref,
    Retry,
    RunInput,
    Value,
)
from stoker.selftest.conditions import CONDITIONS
from stoker.selftest.drawing import PARTS, Drawing, Drawn
from stoker.selftest.plain import PLAIN, PLAINS

SEED = "seed"
SLICES = 1_100  # tasks: more than a server makes at once
WIDE_SHARE = 0.03
PLAIN_SHARE = 0.35
STOP_SHARE = 0.1
CONDITION_SHARE = 0.1
LIMITS = (
    Limit(key="one", most=1),
    Limit(key="three", most=3),
    Limit(key="often", rate="50/s"),
    Limit(key="two at 20", most=2, rate="20/s"),
)


def random_graph(dice: Random, name: str) -> GraphSpec:
    """Its one input is the seed of what its steps do."""
    share = dice.random()
    if share < WIDE_SHARE:
        return _graph(name, _wide(dice))
    if share < WIDE_SHARE + PLAIN_SHARE:
        return plain_graph(dice, name)
    spec = _graph(name, [_conditioned(node, dice) for node in _Anything(dice).nodes()])
    return replace(spec, on_failure="stop") if dice.random() < STOP_SHARE else spec


def plain_graph(dice: Random, name: str) -> GraphSpec:
    """One whose items are a function of the graph."""
    return _graph(name, _Plain(dice).nodes())


def _graph(name: str, nodes: list[NodeSpec]) -> GraphSpec:
    return GraphSpec(name=name, nodes=tuple(nodes), inputs={SEED: InputSpec(schema={"type": "string"})})


class _Grinders(Drawing):
    """What the nodes of both sorts may carry."""

    def literal(self) -> Binding:
        return Value(value=[{"id": f"literal.{number}", "parts": []} for number in range(self.dice.choice((0, 1, 2)))])

    def limit(self, kind: str) -> Limit | None:
        """One of a few keys that all graphs share; a key means the same in each of them."""
        return self.dice.choice(LIMITS) if kind != ITEM_KIND and self.chance(0.2) else None


class _Anything(_Grinders):
    """Steps that fail, prune, requeue and take their time, and name themselves in what they make."""

    def kind(self, *, element: bool) -> str:
        """A sort of step; one that settles with its element only where there is one."""
        return self.dice.choices(("step", "steps", "apart", ITEM_KIND), (65, 18, 3, 14 if element else 0))[0]

    def several(self, kind: str) -> bool:
        return kind == "steps"

    def bound(self, drawn: Drawn, bind: dict[str, Binding]) -> dict[str, Binding]:
        return bind if drawn.kind == ITEM_KIND else {"given": ObjectOf(fields=bind), SEED: RunInput(name=SEED)}

    def options(self, drawn: Drawn) -> dict[str, Any]:
        return {
            "retry": _retry(self.dice) if self.chance(0.6) else None,
            "timeout": "1s" if self.chance(0.2) else None,
            "task_timeout": "20s" if self.chance(0.05) else None,
            "queue_timeout": "10s" if self.chance(0.05) else None,
            "max_losses": self.dice.choice((2, 10, 50)),
            "losses_are_failures": self.chance(0.1) or None,
            "priority": self.dice.randint(0, 9),
            "tolerated": self.chance(0.2),
            "limit": self.limit(drawn.kind),
        }


def _conditioned(node: NodeSpec, dice: Random) -> NodeSpec:
    """The same node, with conditions on some of the edges into it."""
    match node.fire:
        case Each(way=Edge() as way) if dice.random() < CONDITION_SHARE:
            return replace(node, fire=Each(way=replace(way, when=dice.choice(list(CONDITIONS)))))
        case Join(of=of) as join:
            when = {one: dice.choice(list(CONDITIONS)) for one in of if dice.random() < CONDITION_SHARE}
            return replace(node, fire=replace(join, when=when))
        case _:
            return node


def _retry(dice: Random) -> Retry:
    strategies: tuple[Literal["fixed", "linear", "exponential"], ...] = ("fixed", "linear", "exponential")
    base = dice.choice(("50ms", "200ms", "600ms"))
    return Retry(attempts=dice.randint(1, 4), strategy=dice.choice(strategies), base=base)


class _Plain(_Grinders):
    """Steps that work in the end, with options that let nothing end otherwise."""

    def kind(self, *, element: bool) -> str:
        return self.dice.choices((PLAIN, PLAINS, ITEM_KIND), (70, 18, 12 if element else 0))[0]

    def several(self, kind: str) -> bool:
        return kind == PLAINS

    def bound(self, drawn: Drawn, bind: dict[str, Binding]) -> dict[str, Binding]:
        return bind if drawn.kind == ITEM_KIND else asked(drawn.name, widths(len(drawn.steps)), bind)

    def options(self, drawn: Drawn) -> dict[str, Any]:
        return ENDURING | {"priority": self.dice.randint(0, 9), "limit": self.limit(drawn.kind)}


ENDURING: dict[str, Any] = {"retry": Retry(attempts=1_000, strategy="fixed", base="50ms"), "max_losses": 1_000}


def widths(depth: int) -> tuple[int, ...]:
    """How far tasks may fan out that stand so deep."""
    return ((0, 1, 2, 3, 12), (0, 1, 2, 3), (0, 1, 2))[depth] if depth < 3 else (0, 0, 1)


def asked(name: str, widths: tuple[int, ...], bind: dict[str, Binding]) -> dict[str, Binding]:
    """The inputs of a plain step."""
    return {
        "name": Value(value=name),
        "widths": Value(value=widths),
        "given": ObjectOf(fields=bind),
        SEED: RunInput(name=SEED),
    }


def _wide(dice: Random) -> list[NodeSpec]:
    """A fan-out that is made in slices, and the join behind it."""
    ways = Each(way=Edge(node="all", expand=PARTS))
    gathered: dict[str, Binding] = {"gathered": Ref(node="part", many=True, path=("id",))}
    return [
        NodeSpec(name="all", kind=PLAIN, bind=asked("all", (SLICES,), {}), **ENDURING),
        NodeSpec(
            name="part", kind=PLAIN, fire=ways, bind=asked("part", (0,), {}), priority=dice.randint(0, 9), **ENDURING
        ),
        NodeSpec(
            name="end",
            kind=PLAIN,
            fire=Join(anchor="all", of=("part",)),
            bind=asked("end", (0, 3), gathered),
            **ENDURING,
        ),
    ]
