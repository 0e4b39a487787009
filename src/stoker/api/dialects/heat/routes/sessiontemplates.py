"""Session templates."""

from __future__ import annotations

from typing import Any

import msgspec

from stoker.api import body
from stoker.api.call import NO_CONTENT, Answer, Call
from stoker.api.dialects.heat import bodies, exchange, shown, templates
from stoker.api.dialects.heat.desk import Desk, Pen, change, look
from stoker.api.dialects.heat.envelope import bare
from stoker.api.dialects.heat.fields import decoder
from stoker.api.dialects.heat.noun import Kept
from stoker.api.dialects.heat.nouns import nodetemplate, project, session, sessiontemplate
from stoker.api.dialects.heat.nouns.sessiontemplate import (
    NODE_IDS,
    NOUN,
    Record,
    SessionTemplate,
    SessionTemplateChange,
)
from stoker.api.route import Route
from stoker.errors import Conflict

_IMPORTED = decoder(exchange.SessionTemplateFile)
_OBJECT: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])


async def list_session_templates(call: Call) -> Answer:
    async def work(desk: Desk) -> list[SessionTemplate]:
        return await views(desk, await desk.all(NOUN))

    return bare(await look(call, work))


async def get_session_template(call: Call) -> Answer:
    async def work(desk: Desk) -> list[SessionTemplate]:
        return await views(desk, [await desk.one(NOUN, int(call.path["id"]))])

    return bare((await look(call, work))[0])


async def create_session_template(call: Call) -> Answer:
    sent: SessionTemplateChange = call.body

    async def work(pen: Pen) -> list[SessionTemplate]:
        ids = await pen.numbers(NODE_IDS, len(sent.nodes or ()))
        record = sessiontemplate.changed(Record(), sent, ids)
        await check(pen, record)
        return await views(pen, [await pen.add(NOUN, str(sent.name or ""), record, unnamed="template-{}")])

    return bare((await change(call, work))[0], 201)


async def update_session_template(call: Call) -> Answer:
    sent: SessionTemplateChange = call.body

    async def work(pen: Pen) -> list[SessionTemplate]:
        before = await pen.one(NOUN, int(call.path["id"]))
        ids = await pen.numbers(NODE_IDS, len(sent.nodes or ()))
        record = sessiontemplate.changed(before.record, sent, ids)
        await check(pen, record)
        return await views(pen, [await pen.put(NOUN, before.id, str(sent.name or before.name), record)])

    return bare((await change(call, work))[0])


async def delete_session_template(call: Call) -> Answer:
    id_ = int(call.path["id"])

    async def work(pen: Pen) -> None:
        for each in await pen.all(project.NOUN):
            if each.record.default_session_template_id == id_:
                raise _in_use(id_, f"the project {each.record.title!r} has it as its default")
        for made in await pen.all(session.NOUN):
            if made.record.session_template_id == id_ and not made.record.hidden:
                raise _in_use(id_, f"the session {made.record.name!r} was made from it")
        await pen.remove(NOUN, id_)

    await change(call, work)
    return NO_CONTENT


async def export_session_template(call: Call) -> Answer:
    async def work(desk: Desk) -> dict[str, Any]:
        kept = await desk.one(NOUN, int(call.path["id"]))
        names = {each.id: each.name for each in await desk.all(nodetemplate.NOUN)}
        return exchange.exported(kept.name, kept.record, names)

    return bare(await look(call, work))


async def import_session_template(call: Call) -> Answer:
    """The file is read twice: for what is known here, and for all that it says."""
    content = bodies.mended(await body.read(call.scope, call.receive))
    file: exchange.SessionTemplateFile = bodies.decode(content, _IMPORTED)
    raw = _OBJECT.decode(content)

    async def work(pen: Pen) -> list[SessionTemplate]:
        known = {each.name: each.id for each in await pen.all(nodetemplate.NOUN)}
        record = exchange.imported(file, raw, known, await pen.numbers(NODE_IDS, len(file.nodes)))
        await check(pen, record)
        return await views(pen, [await pen.add(NOUN, str(file.name), record)])

    return bare((await change(call, work))[0], 201)


async def views(desk: Desk, drafts: list[Kept[Record]]) -> list[SessionTemplate]:
    known = {view.id: view for view in await templates.views(desk)}
    return [shown.session_template(each, known) for each in drafts]


async def check(desk: Desk, record: Record) -> None:
    """Refuse a draft that is wrong as a whole."""
    sessiontemplate.check(record, {each.id: each.record for each in await desk.all(nodetemplate.NOUN)})


def _in_use(id_: int, why: str) -> Conflict:
    return Conflict(f"the session template {id_} cannot be deleted: {why}", place="path.id")


ROUTES = (
    Route(
        method="GET",
        path="/api/sessiontemplates",
        scopes=("read",),
        summary="List the session templates",
        endpoint=list_session_templates,
        response=list[SessionTemplate],
    ),
    Route(
        method="POST",
        path="/api/sessiontemplates",
        scopes=("author",),
        summary="Make a session template",
        endpoint=create_session_template,
        request=SessionTemplateChange,
        response=SessionTemplate,
        status=201,
    ),
    Route(
        method="POST",
        path="/api/sessiontemplates/import",
        scopes=("author",),
        summary="Make a session template of a file",
        endpoint=import_session_template,
        request=exchange.SessionTemplateFile,
        upload=True,
        response=SessionTemplate,
        status=201,
    ),
    Route(
        method="GET",
        path="/api/sessiontemplates/{id:int}",
        scopes=("read",),
        summary="Show a session template",
        endpoint=get_session_template,
        response=SessionTemplate,
    ),
    Route(
        method="GET",
        path="/api/sessiontemplates/{id:int}/export",
        scopes=("read",),
        summary="A session template as a file",
        endpoint=export_session_template,
        response=object,
    ),
    Route(
        method="PUT",
        path="/api/sessiontemplates/{id:int}",
        scopes=("author",),
        summary="Change a session template",
        endpoint=update_session_template,
        request=SessionTemplateChange,
        response=SessionTemplate,
    ),
    Route(
        method="DELETE",
        path="/api/sessiontemplates/{id:int}",
        scopes=("author",),
        summary="Delete a session template that nothing uses",
        endpoint=delete_session_template,
        status=204,
    ),
)
