"""Projects."""

from __future__ import annotations

from msgspec.structs import replace

from stoker.api.call import NO_CONTENT, Answer, Call
from stoker.api.dialects.heat import shown
from stoker.api.dialects.heat.desk import Desk, Pen, change, look
from stoker.api.dialects.heat.envelope import bare
from stoker.api.dialects.heat.fields import given
from stoker.api.dialects.heat.noun import Kept
from stoker.api.dialects.heat.nouns import project, session, sessiontemplate, user
from stoker.api.dialects.heat.nouns.project import HIDDEN, NOUN, NewProject, Project, ProjectChange, Record
from stoker.api.route import Route
from stoker.errors import Conflict, Invalid


async def list_projects(call: Call) -> Answer:
    async def work(desk: Desk) -> list[Project]:
        there = [each for each in await desk.all(NOUN) if each.record.title not in HIDDEN]
        return await views(desk, there)

    return bare(await look(call, work))


async def get_project(call: Call) -> Answer:
    return bare(await look(call, lambda desk: _view(desk, int(call.path["id"]))))


async def create_project(call: Call) -> Answer:
    record = Record(**project.kept(given(call.body)))

    async def work(pen: Pen) -> Project:
        await _check(pen, record)
        return (await views(pen, [await pen.add(NOUN, None, record)]))[0]

    return bare(await change(call, work), 201)


async def update_project(call: Call) -> Answer:
    async def work(pen: Pen) -> Project:
        before = await pen.one(NOUN, int(call.path["id"]))
        record = replace(before.record, **project.kept(given(call.body)))
        await _check(pen, record)
        return (await views(pen, [await pen.put(NOUN, before.id, None, record)]))[0]

    return bare(await change(call, work))


async def delete_project(call: Call) -> Answer:
    id_ = int(call.path["id"])

    async def work(pen: Pen) -> None:
        if any(each.record.project_id == id_ and not each.record.hidden for each in await pen.all(session.NOUN)):
            raise Conflict(f"the project {id_} has sessions", place="path.id", remedy="Delete them first.")
        await pen.remove(NOUN, id_)

    await change(call, work)
    return NO_CONTENT


async def views(desk: Desk, projects: list[Kept[Record]]) -> list[Project]:
    users = {each.id: shown.user_(each) for each in await desk.all(user.NOUN)}
    templates = {each.id: each.name for each in await desk.all(sessiontemplate.NOUN)}
    return [shown.project_(each, users, templates) for each in projects]


async def _view(desk: Desk, id_: int) -> Project:
    return (await views(desk, [await desk.one(NOUN, id_)]))[0]


async def _check(desk: Desk, record: Record) -> None:
    if await desk.find(user.NOUN, record.owner_id) is None:
        raise Invalid(f"there is no user {record.owner_id}", place="body.ownerId")
    template = record.default_session_template_id
    if template is not None and await desk.find(sessiontemplate.NOUN, template) is None:
        raise Invalid(f"there is no session template {template}", place="body.defaultSessionTemplateId")


ROUTES = (
    Route(
        method="GET",
        path="/api/projects",
        scopes=("read",),
        summary="List the projects",
        endpoint=list_projects,
        response=list[Project],
    ),
    Route(
        method="POST",
        path="/api/projects",
        scopes=("author",),
        summary="Make a project",
        endpoint=create_project,
        request=NewProject,
        response=Project,
        status=201,
    ),
    Route(
        method="GET",
        path="/api/projects/{id:int}",
        scopes=("read",),
        summary="Show a project",
        endpoint=get_project,
        response=Project,
    ),
    Route(
        method="PUT",
        path="/api/projects/{id:int}",
        scopes=("author",),
        summary="Change a project",
        endpoint=update_project,
        request=ProjectChange,
        response=Project,
    ),
    Route(
        method="DELETE",
        path="/api/projects/{id:int}",
        scopes=("author",),
        summary="Delete a project without sessions",
        endpoint=delete_project,
        status=204,
    ),
)
