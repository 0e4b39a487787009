"""Roles: named sets of scopes, for tokens."""

from __future__ import annotations

from stoker.api.call import NO_CONTENT, Answer, Call, as_json
from stoker.api.route import Route
from stoker.core.views import RoleRequest, RoleView


async def list_roles(call: Call) -> Answer:
    return as_json(await call.engine.roles.list())


async def put_role(call: Call) -> Answer:
    view = await call.engine.roles.put(call.name, call.body)
    return as_json(view, status=201 if view.created else 200)


async def delete_role(call: Call) -> Answer:
    await call.engine.roles.delete(call.name)
    return NO_CONTENT


ROUTES = (
    Route(
        method="GET",
        path="/v1/roles",
        scopes=("admin",),
        summary="List the roles with what they allow, those built in first",
        endpoint=list_roles,
        response=list[RoleView],
    ),
    Route(
        method="PUT",
        path="/v1/roles/{name}",
        scopes=("admin",),
        summary="Make a role (201) or change it (200); its tokens may do so from their next call on",
        endpoint=put_role,
        request=RoleRequest,
        response=RoleView,
        status=201,
        also=(200,),
    ),
    Route(
        method="DELETE",
        path="/v1/roles/{name}",
        scopes=("admin",),
        summary="Delete a role that no token has",
        endpoint=delete_role,
        status=204,
    ),
)
