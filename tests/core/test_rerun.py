"""A run whose nodes are pure, broken in every way and mended by re-runs, is what it would have been at once."""

from __future__ import annotations

from hashlib import sha256
from random import Random

import pytest
from msgspec.structs import replace

from core.graphs import KINDS, random_graph
from core.memory import Memory, below
from core.oracle import check
from core.player import AGAIN, Player, slices_of
from stoker.core.branch import cut
from stoker.core.compile import compile_graph
from stoker.core.compiled import CompiledNode
from stoker.core.decide import Fold
from stoker.core.graph import Defaults, GraphSpec
from stoker.core.model import SLICE, Task
from stoker.core.picture import Body
from stoker.core.protocol import Receipt
from stoker.core.reopen import may_stand
from stoker.core.states import RunState
from stoker.core.values import encode

RUNS = 800
PLAIN = {name: replace(kind, max_attempts=None) for name, kind in KINDS.items()}
MENDED = 200  # rounds; a run that is not mended by then never is


class Pure(Player):
    """Every output follows from the node, the place and what the task could see. `luck`: how often one completes."""

    def __init__(self, memory: Memory, dice: Random, luck: int) -> None:
        super().__init__(memory, dice)
        self.luck = luck
        self.retries = 0.0

    def _complete(self, fold: Fold, task: Task) -> Receipt:
        node = self._draw(fold, task)
        number = self.drawn.choice((0, 1, 2)) if node.kind.items == "many" else 1
        bodies = [Body(encode(self._output(node))) for _ in range(number)]
        return fold.complete(task.id, task.attempt, task.session or 0, bodies)

    def _draw(self, fold: Fold, task: Task) -> CompiledNode:
        """Have what is drawn next follow from what the task could see."""
        node = self.memory.graph.nodes[task.node]
        seen = sha256(encode([node.name, task.branch.hex(), [body.decode() for body in self._seen(fold, task)]]))
        self.drawn = Random(seen.hexdigest())
        return node

    def _seen(self, fold: Fold, task: Task) -> list[bytes]:
        """The items of the task above, or all from which a way leads into the join."""
        graph = self.memory.graph
        node = graph.nodes[task.node]
        items = self.memory.items | {item.key: item.body for item in fold.items}
        if not node.is_join:
            up = None if task.parent is None else fold.tasks.get(task.parent) or self.memory.tasks[task.parent]
            return [] if up is None else [items[key] for key in sorted(items) if key[:3] == up_key(up)]
        prefix = cut(task.branch, graph.row_depth[node.index])
        sources = [each for each in graph.nodes if node.index in each.touches or each.index == node.parent]
        return [body for each in sources for body in below(items, task.run, each.index, prefix)]

    def _element(self, depth: int) -> object:
        width = self.drawn.choice((0, 1, 1, 2)) if depth else 0
        return {"n": self.drawn.randrange(10**9), "parts": [self._element(depth - 1) for _ in range(width)]}

    def _output(self, node: CompiledNode) -> object:
        if any(kid.expand == () for kid in node.kids):
            return [self._element(1) for _ in range(self.drawn.choice((0, 1, 2)))]
        return self._element(2)


def up_key(task: Task) -> tuple[int, int, bytes]:
    return (task.run, task.node, task.branch)


def finished(memory: Memory, dice: Random, luck: int, retries: float = 0.0) -> Memory:
    player = Pure(memory, dice, luck)
    player.retries, player.always_below = retries, True
    player.cancels = bool(retries) and dice.random() < 0.2
    player.picks = player.picks and bool(retries)
    player.finish()
    return memory


def plain(spec: GraphSpec) -> GraphSpec:
    """The same graph without what would end a task by time or count, so that a fresh run has no failures of its own."""
    none = {"timeout": None, "task_timeout": None, "queue_timeout": None}
    nodes = tuple(replace(node, **none) for node in spec.nodes)
    return replace(spec, nodes=nodes, defaults=Defaults(), on_failure="continue")


def mended(seed: int) -> tuple[Memory, Memory]:
    """The run as it would have been, and the one that was broken and mended."""
    dice = Random(seed)
    graph = compile_graph(plain(random_graph(dice)), PLAIN)
    fresh, broken = Memory(graph, dice.random), Memory(graph, dice.random)
    for memory in (fresh, broken):
        memory.trigger()
    with slices_of(dice.choice((1, 2, SLICE))):
        finished(fresh, dice, 10**9)
        finished(broken, dice, 60, dice.choice((0, 0.1)))
        for _ in range(MENDED):
            if not mend(fresh, broken, dice):
                return fresh, broken
            check(broken)
            finished(broken, dice, 10**9)
    raise AssertionError("it is never mended")


def mend(fresh: Memory, broken: Memory, dice: Random) -> bool:
    """Retry some of what would have ended otherwise; whether there was any."""
    if broken.runs[1].state is RunState.CANCELLED and broken.retry(1, rerun=True):
        return True
    good = {up_key(task): task.state for task in fresh.tasks.values()}
    tasks = [task for task in broken.tasks.values() if task.state in AGAIN and may_stand(broken.graph, task)]
    bad = [task for task in tasks if task.state != good.get(up_key(task))]
    for task in dice.sample(bad, min(len(bad), dice.choice((1, 1, 3)))):
        if task.id in broken.tasks:  # it may have been below another one
            broken.retry(1, task.id, rerun=True)
    return bool(bad)


@pytest.mark.parametrize("start", range(0, RUNS, 100))
def test_a_mended_run_of_pure_nodes_is_what_a_fresh_one_is(start: int) -> None:
    rerun = 0
    for seed in range(start, start + 100):
        try:
            fresh, broken = mended(seed)
            same(fresh, broken)
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error
        rerun += broken.rerun
    assert rerun > 10, "too few joins were run again to show anything"


def counts(memory: Memory) -> dict[tuple[int, int], list[int]]:
    return {place: found for place, found in memory.counts.items() if any(found)}


def same(fresh: Memory, broken: Memory) -> None:
    states = [{up_key(task): task.state for task in memory.tasks.values()} for memory in (fresh, broken)]
    assert states[0] == states[1]
    assert fresh.items == broken.items
    assert counts(fresh) == counts(broken)
    if broken.runs[1].state is not RunState.CANCELLED:  # in the very batch that settled all: nothing is left to mend
        assert fresh.runs[1].state is broken.runs[1].state
    assert fresh.rows.keys() == broken.rows.keys()
    assert {key: row.state for key, row in fresh.rows.items()} == {key: row.state for key, row in broken.rows.items()}
