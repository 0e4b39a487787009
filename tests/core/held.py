"""Random graphs with what the engine holds: waits and loops in the place of some nodes of a random graph."""

from __future__ import annotations

from random import Random

from msgspec.structs import replace

from core.graphs import PARTS, random_graph
from stoker.core.graph import (
    ITEM_KIND,
    LOOP_KIND,
    WAIT_KIND,
    Each,
    Edge,
    Element,
    GraphSpec,
    Iteration,
    Join,
    Loop,
    NodeSpec,
    Ref,
    Value,
    Wait,
)

STATE = {"n": 0, "parts": [{"n": 1, "parts": []}, {"n": 2, "parts": []}]}
_FOR_RUNNERS = ("retry", "timeout", "task_timeout", "queue_timeout", "max_losses", "losses_are_failures", "limit")


def held_graph(dice: Random) -> GraphSpec:
    """A random graph in which about every third node of kind `one` is a wait or a loop."""
    spec = random_graph(dice)
    nodes = [new for node in spec.nodes for new in _held(node, dice)]
    return replace(spec, nodes=tuple(nodes))


def _held(node: NodeSpec, dice: Random) -> list[NodeSpec]:
    if node.kind != "one" or dice.random() > 0.35:
        return [node]
    if dice.random() < 0.4:
        plain = replace(node, **dict.fromkeys(_FOR_RUNNERS), kind=WAIT_KIND)
        default = {"default": STATE} if dice.random() < 0.5 else {}
        return [replace(plain, wait=Wait(expires="10s", **default) if dice.random() < 0.5 else Wait())]
    return _looped(node, dice)


def _looped(node: NodeSpec, dice: Random, depth: int = 0) -> list[NodeSpec]:
    """A loop in the place of a node: a step, perhaps a fan-out and a join beside it, perhaps a loop inside."""
    name = node.name
    start, last = f"{name}.state", f"{name}.next"
    step = replace(node, name=f"{name}.step", fire=Each(way=Edge(node=start)), bind={"s": Ref(node=start)}, expand=None)
    inside, of = [step], [step.name]
    if depth < 1 and dice.random() < 0.3:
        inside = _looped(step, dice, depth + 1)
    if dice.random() < 0.4:
        element = {"x": Element(of=start)}
        inside.append(replace(step, name=f"{name}.part", fire=Each(way=Edge(node=start, expand=PARTS)), bind=element))
        every = {"all": Ref(node=f"{name}.part", many=True)}
        joined = Join(anchor=start, of=(f"{name}.part",), policy=dice.choice(("all_done", "all_success")))
        inside.append(replace(step, name=f"{name}.all", fire=joined, bind=every))
        of.append(f"{name}.all")
    held = replace(node, **dict.fromkeys(_FOR_RUNNERS), kind=LOOP_KIND, bind={"state": Value(value=STATE)})
    loop = Loop(next=last, until=f"index >= {dice.randint(1, 3)}", max_iterations=dice.choice((2, 50)))
    return [
        replace(held, loop=loop),
        NodeSpec(name=start, kind=ITEM_KIND, fire=Iteration(of=name)),
        *inside,
        NodeSpec(
            name=last,
            kind=ITEM_KIND,
            fire=Join(anchor=start, of=tuple(of), policy="all_done"),
            bind={"state": Ref(node=step.name)},
        ),
    ]
