"""What the grinder draws: graphs that a server takes, alike for one seed, of all that it is to try."""

from __future__ import annotations

from random import Random

from stoker.core.compile import compile_graph
from stoker.core.graph import GraphSpec, KindSpec
from stoker.core.model import SLICE
from stoker.selftest import plain, work
from stoker.selftest.draw import SLICES, random_graph
from stoker.selftest.evaluate import is_plain

SEEDS = 300
KINDS: dict[str, KindSpec] = {step.kind.name: step.kind for step in work.STEPS}


def drawn() -> list[GraphSpec]:
    return [random_graph(Random(seed), f"graph{seed}") for seed in range(SEEDS)]


def test_every_graph_compiles_with_the_kinds_of_its_steps() -> None:
    for spec in drawn():
        compile_graph(spec, KINDS)


def test_a_seed_is_a_graph() -> None:
    assert drawn() == drawn()


def test_everything_is_drawn_now_and_then() -> None:
    specs = drawn()
    nodes = [node for spec in specs for node in spec.nodes]
    assert SEEDS * 0.2 < sum(map(is_plain, specs)) < SEEDS * 0.6
    assert {node.kind for node in nodes} >= KINDS.keys() | {"stoker.item"}
    assert len({node.limit for node in nodes if node.limit}) >= 4
    assert any(spec.on_failure == "stop" for spec in specs)
    ways = [way for node in nodes if (way := getattr(node.fire, "way", None))]
    assert any(way.when for way in ways)
    assert any(getattr(node.fire, "when", None) for node in nodes)
    for option in ("retry", "timeout", "task_timeout", "queue_timeout", "losses_are_failures", "expand", "tolerated"):
        assert any(getattr(node, option) for node in nodes), option
    assert any(spec.nodes[0].name == "all" for spec in specs)
    assert SLICES > SLICE


def test_a_plain_item_is_a_function_of_what_it_is_given() -> None:
    assert plain.item("a", [3], {"x": 1}) == plain.item("a", [3], {"x": 1})
    assert plain.item("a", [3], {"x": 1})["id"] != plain.item("a", [3], {"x": 2})["id"]
    assert plain.item("b", [3], {"x": 1})["id"] != plain.item("a", [3], {"x": 1})["id"]
    assert [len(plain.items("a", [width], None)) for width in (0, 1, 4)] == [0, 1, 4]
