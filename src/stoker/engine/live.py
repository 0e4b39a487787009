"""Live runs from outside: publish, fire, and the outputs of nodes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from stoker.core.compiled import CompiledNode
from stoker.core.decide import Fold
from stoker.core.live import Label, Output, refusal
from stoker.core.living import Fired
from stoker.core.model import PAYLOAD_INLINE, ItemKey, Run
from stoker.core.names import fault, text
from stoker.core.picture import Body
from stoker.core.protocol import INLINE_INPUT
from stoker.core.states import RunState, TaskState
from stoker.core.values import NULL
from stoker.core.views import FireAnswer, OutputView, Page, PublishRequest
from stoker.engine import paging
from stoker.engine.acting import Note
from stoker.engine.batch import Batches
from stoker.engine.namespaces import Namespaces
from stoker.engine.output_views import output_view
from stoker.engine.ports import Blobs, Reader, Row, Store, Tx
from stoker.engine.transaction import Batch, Verb
from stoker.engine.versions import Version, Versions
from stoker.errors import Conflict, Invalid, NotFound

SHOWN = 4096  # bytes of a value in a list; a single output shows up to INLINE_INPUT
_LAST = 2**62


class OnNode(Verb):
    """What is done to one node of a live run."""

    def __init__(self, run: int, node: str) -> None:
        self.runs = (run,)
        self._node = node

    async def decide(self, tx: Tx, batch: Batch) -> Any:
        run = batch.run(self.runs[0])
        graph = batch.fold.graphs[run.version]
        if run.state is not RunState.RUNNING or run.stopping:
            state = "being cancelled" if run.stopping else RunState(run.state).name
            raise Conflict(f"run {run.id} is {state}; nothing of it changes any more.", code="not_running")
        return await self.on(tx, batch.fold, run, graph.place(self._node))

    @abstractmethod
    async def on(self, tx: Tx, fold: Fold, run: Run, node: CompiledNode) -> Any:
        """Fold it in."""


class Publish(OnNode):
    """An output or a state from outside.

    A repeat after a commit of unknown outcome finds the output that it made, if it did.
    """

    def __init__(self, run: int, request: PublishRequest, node: str, body: Body | None) -> None:
        super().__init__(run, node)
        self._request = request
        self._body = body
        self._made: Output | None = None

    async def on(self, tx: Tx, fold: Fold, run: Run, node: CompiledNode) -> Output | None:
        if self.replays and self._made is not None and await tx.rows("output_exists", self._made.id):
            return self._made
        self._made = self._publish(fold, run, node)
        return self._made

    def note(self, answer: Output | None) -> Note:
        made = {} if answer is None else {"output": answer.id}
        return Note([f"run:{self.runs[0]}"], {"node": self._node, **made})

    def _publish(self, fold: Fold, run: Run, node: CompiledNode) -> Output | None:
        status = text(self._request.status)
        if self._body is not None:
            return fold.publish(
                run, node, self._body, Label(self._request.name, about=text(self._request.about)), status
            )
        fold.announce(run, node, TaskState.FAILED if self._request.failed else TaskState.SUCCEEDED, status)
        return None


class Fire(OnNode):
    """Have a node run again."""

    async def on(self, tx: Tx, fold: Fold, run: Run, node: CompiledNode) -> Fired:
        rows = fold.live[run.id]
        if wrong := refusal(fold.graphs[run.version], node, rows):
            raise Conflict(
                f"{wrong}.", code="cannot_fire", place=f"node {node.name!r}", remedy="Publish what it reads."
            )
        return fold.fire(run, node)

    def note(self, answer: Fired) -> Note:
        return Note([f"run:{self.runs[0]}"], {"node": self._node, "task": answer.task})


class Live:
    """What callers do with live runs."""

    def __init__(
        self, store: Store, namespaces: Namespaces, versions: Versions, batches: Batches, blobs: Blobs
    ) -> None:
        self._store = store
        self._namespaces = namespaces
        self._versions = versions
        self._batches = batches
        self._blobs = blobs

    async def publish(self, namespace: str, run: int, node: str, request: PublishRequest) -> OutputView | None:
        """An output from outside becomes the node's current one; without a value, only a state. None: no output."""
        if request.failed and request.value is not msgspec.UNSET:
            message = "what failed has no output."
            raise Invalid(message, code="bad_option", place="failed", remedy="Leave out the value, or `failed`.")
        body = await self.body(namespace, run, node, request.name, request.value)
        output: Output | None = (await self._batches.submit(Publish(run, request, node, body))).value
        return None if output is None else await self.output(namespace, output.id)

    async def fire(self, namespace: str, run: int, node: str) -> FireAnswer:
        """Have a node run again with what is current. Conflict if nothing it reads is there."""
        await self._node(namespace, run, node)
        fired: Fired = (await self._batches.submit(Fire(run, node))).value
        state = fired.state.name
        return FireAnswer(task=fired.task, generation=fired.generation, state=state, dirty=fired.dirty)  # type: ignore[arg-type]  # the names of the enum are the literals of the view

    async def outputs(
        self, namespace: str, run: int, *, node: str | None, current: bool, limit: int, after: str | None
    ) -> Page[OutputView]:
        """Outputs of a run by node, the newest first; `current`: only the one of each node that others read."""
        version = await self._version(namespace, run)
        if node is not None:
            _known(version, run, node)
        limit = paging.limited(limit)
        start = paging.cursor(after, (int, int)) if after else (-1, _LAST)
        at = None if node is None else version.graph.names[node]
        wanted = 1 if current else None

        async def find(reader: Reader) -> list[Row]:
            return await reader.rows("output_page", b"", run, *start, at, wanted, limit + 1)

        rows = await self._store.read(find)
        more = rows[limit - 1] if len(rows) > limit else None
        return Page(
            items=[output_view(version, row, SHOWN) for row in rows[:limit]],
            after=None if more is None else paging.key(more[2], more[3]),
        )

    async def output(self, namespace: str, output: int) -> OutputView:
        """One output."""
        version, row = await self._output(namespace, output)
        return output_view(version, row, INLINE_INPUT)

    async def value(self, namespace: str, output: int) -> AsyncIterator[bytes]:
        """The JSON of one output, whatever its size."""
        _, row = await self._output(namespace, output)
        (item,) = await self._store.read(lambda reader: reader.items([ItemKey(row[1], row[2], b"", row[3])]))
        if item.blob is None:
            return once(item.body or NULL)
        return self._blobs.read(item.blob, 0, item.size)

    async def _output(self, namespace: str, output: int) -> tuple[Version, Row]:
        number = await self._namespaces.existing(namespace)

        async def find(reader: Reader) -> tuple[Version, Row] | None:
            for row in await reader.rows("output", b"", output):
                (run,) = await reader.runs([row[1]])
                if run.namespace == number:
                    return await self._versions.get(reader, run.version), row
            return None

        found = await self._store.read(find)
        if found is None:
            raise NotFound(
                f"the namespace {namespace!r} has no output {output}.", code="no_output", place=f"outputs/{output}"
            )
        return found

    async def _node(self, namespace: str, run: int, node: str) -> Version:
        version = await self._version(namespace, run)
        if not version.graph.live:
            raise Conflict(
                f"run {run} is of the graph {version.graph.spec.name!r}, which is not live.",
                code="not_live",
                place=f"runs/{run}",
                remedy='Give its graph mode="live", and start a new run.',
            )
        _known(version, run, node)
        return version

    async def _version(self, namespace: str, run: int) -> Version:
        number = await self._namespaces.existing(namespace)

        async def find(reader: Reader) -> Version | None:
            for found in await reader.runs([run]):
                if found.namespace == number:
                    return await self._versions.get(reader, found.version)
            return None

        version = await self._store.read(find)
        if version is None:
            raise NotFound(f"the namespace {namespace!r} has no run {run}.", code="no_run", place=f"runs/{run}")
        return version

    async def body(
        self, namespace: str, run: int, node: str, name: str, value: msgspec.Raw | msgspec.UnsetType
    ) -> Body | None:
        """A value for a node of a live run, checked; a large one is put away first. None: there is none."""
        version = await self._node(namespace, run, node)
        if name and (wrong := fault(name)):
            raise Invalid(wrong, code="bad_name", place="name")
        if value is msgspec.UNSET:
            return None
        json = bytes(value)
        if wrong := version.output_fault(version.graph.names[node], [json]):
            raise Invalid(f"the value does not fit {node!r}: {wrong}.", code="invalid_output", place="value")
        if len(json) <= PAYLOAD_INLINE:
            return Body(json)
        return Body(json, (await self._blobs.write(once(json))).key)


def _known(version: Version, run: int, node: str) -> None:
    if node not in version.graph.names:
        raise NotFound(
            f"the graph of run {run} has no node {node!r}.",
            code="no_node",
            place=f"node {node!r}",
            remedy=f"Its nodes: {', '.join(map(repr, version.graph.names))}.",
        )


async def once(body: bytes) -> AsyncIterator[bytes]:
    yield body
