"""What a fold wants to know before it can go on: looked up, and handed back to it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from stoker.core.decide import Fold
from stoker.core.model import ItemKey
from stoker.core.picture import Want
from stoker.core.template import Place, needs, render
from stoker.core.values import BadPath, elements
from stoker.engine.inputs import Sources, whole
from stoker.engine.ports import Tx
from stoker.engine.showing import Showing
from stoker.engine.tools import Tools

if TYPE_CHECKING:
    from stoker.engine.children import Children
    from stoker.engine.iterations import Iterations

Answering = Callable[[Fold, Sequence[Want]], Coroutine[Any, Any, None]]


class Answers:
    """Answers wants, all of one sort together. `blobs`: large values fetched beforehand."""

    def __init__(self, tools: Tools, tx: Tx, blobs: dict[str, bytes], showing: Showing) -> None:
        self._tools = tools
        self._tx = tx
        self._blobs = blobs
        self._showing = showing

    async def answer(self, fold: Fold, wants: Sequence[Want]) -> None:
        for sort in dict.fromkeys(want.what for want in wants):
            await self._answering(sort)(fold, [want for want in wants if want.what == sort])

    def _answering(self, sort: str) -> Answering:
        """Who answers wants of this sort; made when there is one, for most batches have none."""
        match sort:
            case "members":
                return self._members
            case "expand":
                return self._expand
            case "loop":
                return self._iterations.begin
            case "next":
                return self._iterations.end
            case "scheduled":
                from stoker.engine.scheduled import Scheduled

                return Scheduled(self._tools, self._tx).ended
            case "key":
                from stoker.engine.keys import Keying

                return Keying(self._tools, self._tx, self._blobs, self._showing).answer
        children = self._children
        by_sort = {"child": children.start, "ended": children.ended, "again": children.again, "stop": children.stop}
        return by_sort[sort]

    @cached_property
    def _children(self) -> Children:
        from stoker.engine.children import Children

        return Children(self._tools, self._tx, self._blobs, self._showing)

    @cached_property
    def _iterations(self) -> Iterations:
        from stoker.engine.iterations import Iterations

        return Iterations(self._tx, self._blobs, self._showing)

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
