"""Nodes of live runs, for those who know nothing but the node: say what it gave, and see how all of a run stand."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

from stoker.core.by_node import Said, SayRequest
from stoker.core.compiled import CompiledNode
from stoker.core.decide import Fold
from stoker.core.duration import micros
from stoker.core.live import Belongs, Label, Output
from stoker.core.model import Run, Task
from stoker.core.names import text
from stoker.core.picture import Body
from stoker.core.protocol import INLINE_INPUT
from stoker.core.states import TaskState
from stoker.core.views import OutputView
from stoker.engine.acting import Note
from stoker.engine.batch import Batches
from stoker.engine.live import Live, OnNode
from stoker.engine.namespaces import Namespaces
from stoker.engine.output_views import output_view
from stoker.engine.ports import Reader, Row, Store, Tx
from stoker.engine.scene import Scene, scene_of
from stoker.engine.versions import Version, Versions
from stoker.errors import NotFound


class Heard(NamedTuple):
    """What was said, decided: the output that it made, or had made before, and whose it is."""

    output: Output | None
    whose: Belongs | None


class Say(OnNode):
    """An output or a state that names only its node: whose it is, `core/live.by_node` decides.

    A repeat after a commit of unknown outcome finds the output that it made, if it did.
    """

    def __init__(self, run: int, node: str, request: SayRequest, body: Body | None) -> None:
        super().__init__(run, node)
        self._request = request
        self._body = body
        self._made: Output | None = None

    async def on(self, tx: Tx, fold: Fold, run: Run, node: CompiledNode) -> Heard:
        asked = self._request
        found = fold.whose(run, node, asked.own)
        whose = None if found == "external" else found
        if self.replays and self._made is not None and await tx.rows("output_exists", self._made.id):
            return Heard(self._made, whose)
        self._made = None
        if whose is not None and whose.open:
            self._renew(fold, whose)
        if self._body is None:
            fold.tell(run, node, asked.own, None if asked.state is None else TaskState[asked.state], text(asked.status))
            return Heard(None, whose)
        before = await self._before(tx, fold, run, node, whose)
        if before is None:
            label = Label(asked.name, asked.key, asked.about)
            before = self._made = fold.say(run, node, asked.own, self._body, label)
        return Heard(before, whose)

    def note(self, answer: Heard) -> Note:
        made = {} if answer.output is None else {"output": answer.output.id}
        return Note([f"run:{self.runs[0]}"], {"node": self._node, **made})

    def _renew(self, fold: Fold, whose: Belongs) -> None:
        task = fold.tasks[whose.task]
        if self._request.lease_s is not None and task.until is not None:
            heard = task.answer < 0
            fold.extend(task.id, task.attempt, micros(self._request.lease_s[heard]), heard=heard)

    async def _before(self, tx: Tx, fold: Fold, run: Run, node: CompiledNode, whose: Belongs | None) -> Output | None:
        """The output of the same attempt that has this name and key."""
        if not self._request.key or whose is None:
            return None
        place = (run.id, node.index, whose.task, whose.attempt, self._request.name, self._request.key)
        for made in fold.outputs:
            if (made.run, made.node, made.task, made.attempt, made.name, made.key) == place:
                return made
        rows = await tx.rows("output_with_key", *place)
        names = Output.__struct_fields__
        return Output(**dict(zip(names, rows[0], strict=True))) if rows else None


class Nodes:
    """What callers do with nodes of live runs."""

    def __init__(self, store: Store, namespaces: Namespaces, versions: Versions, batches: Batches, live: Live) -> None:
        self._store = store
        self._namespaces = namespaces
        self._versions = versions
        self._batches = batches
        self._live = live

    async def say(self, namespace: str, run: int, node: str, request: SayRequest) -> Said:
        """Put down what is said of a node. Conflict if the run does not go on, or is not live."""
        body = await self._live.body(namespace, run, node, request.name, request.value)
        heard: Heard = (await self._batches.submit(Say(run, node, request, body))).value
        output = None if heard.output is None else await self._live.output(namespace, heard.output.id)
        whose = heard.whose
        if whose is None:
            return Said(output=output)
        return Said(output=output, task=whose.task, attempt=whose.attempt, open=whose.open)

    async def scene(self, namespace: str, run: int) -> Scene:
        """How all nodes of a live run stand. NotFound if there is no such run here."""
        number = await self._namespaces.existing(namespace)

        async def find(reader: Reader) -> Scene | None:
            for found in await reader.runs([run]):
                version = await self._versions.get(reader, found.version)
                if version.graph.live and (found.namespace == number or _offers(version, number)):
                    return await scene_of(reader, found, version)
            return None

        scene = await self._store.read(find)
        if scene is None:
            raise NotFound(f"there is no live run {run} here.", code="no_run", place=f"runs/{run}")
        return scene

    async def run_of(self, namespace: str, task: int) -> int:
        """The run of a task that is offered in this namespace."""
        number = await self._namespaces.existing(namespace)

        async def find(reader: Reader) -> Task | None:
            for found in await reader.tasks([task]):
                (run,) = await reader.runs([found.run])
                version = await self._versions.get(reader, run.version)
                if (version.graph.nodes[found.node].home or run.namespace) == number:
                    return found
            return None

        found = await self._store.read(find)
        if found is None:
            raise NotFound(f"there is no task {task} here.", code="no_task", place="task")
        return found.run

    async def outputs(self, scene: Scene, node: int | None = None) -> list[OutputView]:
        """All outputs of a run, or of one node, in the order in which they were given."""
        after, found = (-1, 2**62), []
        while True:
            asked = (b"", scene.run.id, *after, node, None, _PAGE)
            rows = await self._store.read(partial(_output_page, asked))
            found += [output_view(scene.version, row, INLINE_INPUT) for row in rows]
            if len(rows) < _PAGE:
                return sorted(found, key=lambda view: (view.created_at, view.id))
            after = rows[-1][2], rows[-1][3]

    async def at(self, scene: Scene, numbers: Mapping[int, int]) -> dict[int, OutputView]:
        """Outputs by their nodes. `numbers`: which of each."""
        if not numbers:
            return {}
        asked = (b"", scene.run.id, list(numbers), sorted(set(numbers.values())))
        rows = await self._store.read(lambda reader: reader.rows("outputs_numbered", *asked))
        return {row[2]: output_view(scene.version, row, INLINE_INPUT) for row in rows if numbers[row[2]] == row[3]}


_PAGE = 200


async def _output_page(asked: tuple[Any, ...], reader: Reader) -> list[Row]:
    return await reader.rows("output_page", *asked)


def _offers(version: Version, namespace: int) -> bool:
    return any(node.home == namespace for node in version.graph.nodes)
