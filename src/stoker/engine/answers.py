"""What a fold wants to know before it can go on: looked up, and handed back to it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from stoker.core.decide import Fold
from stoker.core.model import ItemKey
from stoker.core.picture import Want
from stoker.core.template import Place, needs, render
from stoker.core.values import BadPath, elements
from stoker.engine.children import Children
from stoker.engine.inputs import Sources, whole
from stoker.engine.iterations import Iterations
from stoker.engine.keys import Keying
from stoker.engine.ports import Tx
from stoker.engine.scheduled import Scheduled
from stoker.engine.showing import Showing
from stoker.engine.tools import Tools


class Answers:
    """Answers wants, all of one sort together. `blobs`: large values fetched beforehand."""

    def __init__(self, tools: Tools, tx: Tx, blobs: dict[str, bytes], showing: Showing) -> None:
        self._tx = tx
        self._blobs = blobs
        scheduled = Scheduled(tools, tx)
        children = Children(tools, tx, blobs, showing)
        iterations = Iterations(tx, blobs, showing)
        self._sorts: dict[str, Callable[[Fold, Sequence[Want]], Coroutine[Any, Any, None]]] = {
            "members": self._members,
            "expand": self._expand,
            "child": children.start,
            "ended": children.ended,
            "again": children.again,
            "stop": children.stop,
            "loop": iterations.begin,
            "next": iterations.end,
            "scheduled": scheduled.ended,
            "key": Keying(tools, tx, blobs, showing).answer,
        }

    async def answer(self, fold: Fold, wants: Sequence[Want]) -> None:
        for sort in dict.fromkeys(want.what for want in wants):
            await self._sorts[sort](fold, [want for want in wants if want.what == sort])

    async def _members(self, fold: Fold, wants: Sequence[Want]) -> None:
        for want in wants:
            graph = fold.graphs[fold.runs[want.run].version]
            keys = [ItemKey(want.run, member, want.branch, 0) for member in graph.nodes[want.node].must_have]
            there = {item.key for item in await self._tx.items(keys)}
            fold.has_members(want, [graph.nodes[key.node].name for key in keys if key not in there])

    async def _expand(self, fold: Fold, wants: Sequence[Want]) -> None:
        for want in wants:
            graph = fold.graphs[fold.runs[want.run].version]
            node = graph.nodes[want.node]
            assert node.spec.expand is not None
            place, over = Place(want.run, want.node, want.branch), node.spec.expand.over
            sources = Sources(self._tx, self._blobs)
            sources.show(fold.new_inputs, fold.new_stores)
            await whole(sources, needs(graph, place, over))
            try:
                fold.expanded(want, elements(render(graph, place, over, sources.found)))
            except BadPath as error:
                fold.unbound(want, f"{node.name!r} expands a list, but {error}")
