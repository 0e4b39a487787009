"""A session as its nodes are shown: how they stand in the engine, and the documents that belong to them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any

import msgspec

from stoker.api.call import Call
from stoker.api.dialects.heat import fields, ids, played, stored, templates
from stoker.api.dialects.heat.bootstrap import DEFAULT_STORE
from stoker.api.dialects.heat.desk import Desk, look
from stoker.api.dialects.heat.noun import Kept
from stoker.api.dialects.heat.nouns import configuration, datasource, nodetemplate, session
from stoker.api.dialects.heat.nouns.nodeinstance import CONFIGURED, NodeInstance
from stoker.api.dialects.heat.nouns.nodeoutput import NodeOutput
from stoker.api.dialects.heat.nouns.sessiontemplate import ParentNode
from stoker.api.dialects.heat.played import Played, PlayedNode
from stoker.api.dialects.heat.scheduling import Scheduling, scheduling
from stoker.core.duration import Micros
from stoker.core.states import TaskState
from stoker.core.views import OutputView
from stoker.engine.catalog import when
from stoker.engine.scene import Scene, SceneNode
from stoker.errors import NotFound

SUCCEEDED = "Processing succeeded; node is ready for more work."
FAILED = "Processing failed;"
LAST_STATE = {
    None: 0,
    TaskState.READY: 0,
    TaskState.LEASED: 1,
    TaskState.FAILED: 2,
    TaskState.SUCCEEDED: 3,
    TaskState.PRUNED: 3,
    TaskState.SKIPPED: 3,
    TaskState.CANCELLED: 0,
}


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """`kept`: the document of the session; None: it is still being made. `store`: the id of the default data source."""

    call: Call
    guid: str
    scene: Scene
    played: Played
    kept: Kept[session.Record] | None
    configured: dict[str, str]
    templates: dict[int, nodetemplate.NodeTemplate]
    scheduling: Scheduling
    store: int

    @property
    def hidden(self) -> bool:
        return self.kept is not None and self.kept.record.hidden

    def node(self, index: int) -> tuple[SceneNode, PlayedNode]:
        """NotFound if the session has no such node, as HEAT sees it."""
        if index < len(self.scene.nodes):
            found = self.scene.nodes[index]
            if meant := self.played.node(found.node.spec.name):
                return found, meant
        raise NotFound(f"there is no node {ids.of_node(self.scene.run.id, index)}", place="path.node")

    def ordered(self) -> list[SceneNode]:
        """The nodes in topological order."""
        names = self.scene.version.graph.names
        return [self.scene.nodes[names[node.name]] for node in self.played.nodes]

    def id_of(self, index: int) -> int:
        return ids.of_node(self.scene.run.id, index)

    def configuration(self, index: int) -> str:
        """Of a node: what it was given last, else what its session began with."""
        return self.configured.get(str(self.id_of(index)), self.node(index)[1].configuration)

    async def instance(self, index: int, outputs: Iterable[NodeOutput] = ()) -> NodeInstance:
        found, meant = self.node(index)
        names = self.scene.version.graph.names
        settled = None if found.task is None else found.task.settled_at
        current = None if found.output is None else await self.output(found.output)
        return NodeInstance(
            id=self.id_of(index),
            session_id=self.guid,
            node_template_id=meant.template,
            node_template=self.templates.get(meant.template),
            name=meant.name,
            configuration=self.configuration(index),
            last_processed=None if settled is None else time(settled),
            last_state=LAST_STATE[found.state],
            status_details=self._details(found, meant),
            current_output_id=None if current is None else current.id,
            current_output=current,
            parents=[ParentNode(id=self.id_of(names[parent]), name=parent) for parent in meant.parents],
            outputs=list(outputs),
        )

    async def output(self, view: OutputView) -> NodeOutput:
        """An output as HEAT shows it; of one that was given in another protocol the item is the configuration."""
        kept = stored.read(view.about)
        text = None if kept is None else kept.configuration
        return NodeOutput(
            id=view.id,
            node_instance_id=self.id_of(self.scene.version.graph.names[view.node]),
            configuration=await self._value(view) if text is None else text,
            created_at=fields.shown(view.created_at),
            data_source_id=self.store if kept is None else kept.source,
            data_path="" if kept is None else kept.path,
            output_identifier=view.name if kept is not None else view.name or "output",
        )

    async def _value(self, view: OutputView) -> str:
        if view.value is not msgspec.UNSET:
            return bytes(view.value).decode()
        return (await _whole(await self.call.engine.live.value(self.call.namespace, view.id))).decode()

    def _details(self, found: SceneNode, meant: PlayedNode) -> str:
        if found.status:
            return found.status
        template = self.templates.get(meant.template)
        match found.state:
            case TaskState.SUCCEEDED:
                return SUCCEEDED
            case TaskState.FAILED:
                return FAILED
            case TaskState.READY if template is not None and not template.supported_runners:
                return f"No runner type supports {template.name!r}; any runner that names it may claim it."
            case _:
                return found.waits_for


async def stage(call: Call, run: int) -> Stage:
    """NotFound if there is no such session."""
    scene = await call.engine.nodes.scene(call.namespace, run)
    carried = played.carried(scene.version.graph.spec)
    if carried is None:
        raise NotFound(f"run {run} was not made of a session template", place="path")
    guid = call.engine.opaque.uuid(run)

    async def work(desk: Desk) -> dict[str, Any]:
        named = await desk.named(configuration.NOUN, DEFAULT_STORE)
        store = await desk.named(datasource.NOUN, named.record.value or "") if named is not None else None
        return {
            "kept": await desk.named(session.NOUN, guid),
            "configured": {each.name: each.record.configuration for each in await desk.all(CONFIGURED, guid)},
            "templates": {view.id: view for view in await templates.views(desk)},
            "scheduling": await scheduling(desk),
            "store": 1 if store is None else store.id,
        }

    return Stage(call=call, guid=guid, scene=scene, played=carried, **await look(call, work))


async def stage_of_node(call: Call, *, writes: bool = False) -> tuple[Stage, int]:
    """The session of the node that the path names, and which of its nodes that is.

    NotFound if there is none; or, unless somebody `writes`, who may have begun before, if the session was deleted.
    """
    place = ids.place_of(int(call.path["node"]))
    if place is None:
        raise _no_node(call)
    try:
        found = await stage(call, place.run)
        found.node(place.node)
    except NotFound:
        raise _no_node(call) from None
    if found.hidden and not writes:
        raise _no_node(call)
    return found, place.node


def time(at: Micros) -> str:
    return fields.shown(when(at))


def _no_node(call: Call) -> NotFound:
    return NotFound(f"there is no node {call.path['node']}", place="path.node")


async def _whole(parts: AsyncIterator[bytes]) -> bytes:
    return b"".join([part async for part in parts])
