"""Sessions: live runs, each with a document of what the engine has no word for."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from msgspec.structs import replace

from stoker.api.call import NO_CONTENT, Answer, Call
from stoker.api.dialects.heat import played, scheduling
from stoker.api.dialects.heat.desk import Desk, Pen, change, look
from stoker.api.dialects.heat.envelope import Envelope, bare, enveloped
from stoker.api.dialects.heat.fields import given
from stoker.api.dialects.heat.noun import Kept, Noun
from stoker.api.dialects.heat.nouns import nodetemplate, project, scenario, sessiontemplate, sessionuser
from stoker.api.dialects.heat.nouns.nodeinstance import CONFIGURED
from stoker.api.dialects.heat.nouns.nodeoutput import USES, NamedNodeOutput
from stoker.api.dialects.heat.nouns.session import NOUN, NewSession, PlayedTemplate, Record, Session, SessionChange
from stoker.api.dialects.heat.played import Played
from stoker.api.dialects.heat.routes import projects, scenarios
from stoker.api.dialects.heat.routes.members import session_of
from stoker.api.dialects.heat.stage import stage
from stoker.api.query import Query
from stoker.api.route import Route
from stoker.core.graph import GraphSpec
from stoker.core.views import PushRequest, TriggerRequest
from stoker.errors import Conflict, Invalid, NotFound

_SESSION = "/api/sessions/{sid:guid}"
_BELONGING: tuple[Noun[Any], ...] = (scenario.NOUN, sessionuser.NOUN, CONFIGURED)


class OfProject(Query, frozen=True, rename="camel", forbid_unknown_fields=False):
    project_id: int | None = None


async def list_sessions(call: Call) -> Answer:
    wanted = call.query.project_id or None

    async def work(desk: Desk) -> list[Session]:
        concealed = {each.id for each in await desk.all(project.NOUN) if each.record.title in project.HIDDEN}
        there = [
            each
            for each in await desk.all(NOUN)
            if not each.record.hidden
            if (each.record.project_id == wanted if wanted else each.record.project_id not in concealed)
        ]
        return await _views(desk, there)

    return enveloped(await look(call, work))


async def get_session(call: Call) -> Answer:
    async def work(desk: Desk) -> Session:
        kept = await session_of(call, desk)
        (view,) = await _views(desk, [kept])
        return replace(view, scenarios=await scenarios.views(desk, kept.name))

    return bare(await look(call, work))


async def create_session(call: Call) -> Answer:
    """The graph of the template as it is now is published, a live run of it starts, and then the session is known."""
    wanted = call.query.project_id
    if not wanted:
        raise Invalid("projectId is missing", place="query.projectId", remedy="Name the project of the session.")
    sent: NewSession = call.body
    fields = given(sent)
    chosen = fields.pop("session_template_id", None)

    async def plan(desk: Desk) -> tuple[Played, GraphSpec]:
        owner = await desk.find(project.NOUN, wanted)
        if owner is None:
            raise NotFound(f"there is no project {wanted}", place="query.projectId")
        template = await _template(desk, chosen or owner.record.default_session_template_id)
        meant = played.played(template)
        templates = {each.id: each for each in await desk.all(nodetemplate.NOUN)}
        return meant, played.graph(template.name, meant, templates, await scheduling.scheduling(desk))

    meant, graph = await look(call, plan)
    version = await call.engine.catalog.push(call.namespace, PushRequest(graph=graph))
    (run,) = await call.engine.runs.trigger(call.namespace, [TriggerRequest(graph=graph.name, version=version.version)])
    record = Record(
        project_id=wanted,
        session_template_id=meant.template,
        node_templates=tuple(sorted({node.template for node in meant.nodes})),
        configuration=meant.configuration,
        **_texts(fields),
    )

    async def work(pen: Pen) -> Session:
        kept = await pen.add(NOUN, call.engine.opaque.uuid(run.id), record)
        return (await _views(pen, [kept]))[0]

    return bare(await change(call, work), 201)


async def update_session(call: Call) -> Answer:
    sent: SessionChange = call.body

    async def work(pen: Pen) -> Session:
        before = await session_of(call, pen)
        kept = await pen.put(NOUN, before.id, before.name, replace(before.record, **_texts(given(sent))))
        return (await _views(pen, [kept]))[0]

    return enveloped(await change(call, work))


async def delete_session(call: Call) -> Answer:
    """Its run is cancelled first: what is hidden does not go on."""
    guid = (await look(call, lambda desk: session_of(call, desk))).name
    run = await call.engine.opaque.run(guid)
    if run is not None:
        with suppress(Conflict, NotFound):  # it has been, or is gone
            await call.engine.runs.cancel(call.namespace, run)

    async def work(pen: Pen) -> None:
        kept = await session_of(call, pen)
        for noun in _BELONGING:
            for each in await pen.all(noun, guid):
                await pen.remove(noun, each.id)
        for use in await pen.all(USES):
            if use.record.session == guid:
                await pen.remove(USES, use.id)
        await pen.put(NOUN, kept.id, kept.name, replace(kept.record, hidden=True))

    await change(call, work)
    return NO_CONTENT


async def list_session_outputs(call: Call) -> Answer:
    guid = (await look(call, lambda desk: session_of(call, desk))).name
    run = await call.engine.opaque.run(guid)
    if run is None:
        raise NotFound(f"there is no session {guid}", place="path.sid")
    found = await stage(call, run)
    outputs = []
    for view in await call.engine.nodes.outputs(found.scene):
        if found.played.node(view.node) is not None:
            shown = await found.output(view)
            outputs.append(
                NamedNodeOutput(**{f: getattr(shown, f) for f in shown.__struct_fields__}, node_name=view.node)
            )
    return bare(outputs)


async def _template(desk: Desk, id_: int | None) -> Kept[sessiontemplate.Record]:
    if not id_:
        raise Invalid(
            "neither the call nor the project names a session template",
            place="body.sessionTemplateId",
            remedy="Give sessionTemplateId.",
        )
    found = await desk.find(sessiontemplate.NOUN, id_)
    if found is None:
        raise Invalid(f"there is no session template {id_}", place="body.sessionTemplateId")
    return found


async def _views(desk: Desk, sessions: list[Kept[Record]]) -> list[Session]:
    known = {each.id: each for each in await projects.views(desk, await desk.all(project.NOUN))}
    templates = {each.id: each for each in await desk.all(sessiontemplate.NOUN)}
    return [_view(each, known.get(each.record.project_id), templates) for each in sessions]


def _view(
    kept: Kept[Record], owner: project.Project | None, templates: dict[int, Kept[sessiontemplate.Record]]
) -> Session:
    record, template = kept.record, templates.get(kept.record.session_template_id)
    shown = None
    if template is not None:
        text = template.record.configuration if record.configuration is None else record.configuration
        shown = PlayedTemplate(
            id=template.id, name=template.name, description=template.record.description, configuration=text
        )
    return Session(
        id=kept.name,
        name=record.name,
        email=record.email,
        project_id=record.project_id,
        project=owner,
        session_template_id=record.session_template_id,
        session_template=shown,
        simulation_name=record.simulation_name,
        logo_url=record.logo_url,
        user_id=record.user_id,
        metadata=record.metadata,
    )


def _texts(fields: dict[str, Any]) -> dict[str, Any]:
    """A name that is null is the empty one."""
    return {name: "" if name == "name" and value is None else value for name, value in fields.items()}


ROUTES = (
    Route(
        method="GET",
        path="/api/sessions",
        scopes=("read",),
        summary="List the sessions",
        endpoint=list_sessions,
        query=OfProject,
        response=Envelope[list[Session]],
    ),
    Route(
        method="POST",
        path="/api/sessions",
        scopes=("trigger",),
        summary="Start a session",
        endpoint=create_session,
        query=OfProject,
        request=NewSession,
        response=Session,
        status=201,
    ),
    Route(
        method="GET",
        path=_SESSION,
        scopes=("read",),
        summary="Show a session",
        endpoint=get_session,
        response=Session,
    ),
    Route(
        method="PATCH",
        path=_SESSION,
        scopes=("author",),
        summary="Change what is kept of a session",
        endpoint=update_session,
        request=SessionChange,
        response=Envelope[Session],
    ),
    Route(
        method="DELETE",
        path=_SESSION,
        scopes=("trigger",),
        summary="Cancel a session and hide it",
        endpoint=delete_session,
        status=204,
    ),
    Route(
        method="GET",
        path=f"{_SESSION}/node-outputs",
        scopes=("read",),
        summary="List the outputs of all nodes of a session",
        endpoint=list_session_outputs,
        response=list[NamedNodeOutput],
    ),
)
