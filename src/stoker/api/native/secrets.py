"""Secrets: put, listed without their values, deleted, encrypted anew. No route gives a value."""

from __future__ import annotations

from stoker.api.call import NO_CONTENT, Answer, Call, as_json
from stoker.api.query import After, Limit, Query
from stoker.api.route import NAMESPACED, Route
from stoker.core.secret_views import KeyView, RotateAnswer, SecretRequest, SecretView
from stoker.core.views import Page

ONE = f"{NAMESPACED}/secrets/{{name}}"


class SecretsQuery(Query, frozen=True):
    limit: Limit = 100
    after: After | None = None


class RotateQuery(Query, frozen=True):
    after: After | None = None


async def put_secret(call: Call) -> Answer:
    view = await call.engine.secrets.put(call.namespace, call.name, call.body)
    return as_json(view, status=201 if view.created else 200)


async def list_secrets(call: Call) -> Answer:
    query: SecretsQuery = call.query
    return as_json(await call.engine.secrets.list(call.namespace, limit=query.limit, after=query.after))


async def delete_secret(call: Call) -> Answer:
    await call.engine.secrets.delete(call.namespace, call.name)
    return NO_CONTENT


async def rotate_secrets(call: Call) -> Answer:
    query: RotateQuery = call.query
    return as_json(await call.engine.secrets.rotate(query.after))


async def list_secret_keys(call: Call) -> Answer:
    return as_json(await call.engine.secrets.keys())


ROUTES = (
    Route(
        method="GET",
        path=f"{NAMESPACED}/secrets",
        scopes=("author",),
        summary="List the secrets by name, without their values",
        endpoint=list_secrets,
        query=SecretsQuery,
        response=Page[SecretView],
    ),
    Route(
        method="PUT",
        path=ONE,
        scopes=("admin",),
        summary="Set a secret (201), or set it anew (200)",
        endpoint=put_secret,
        request=SecretRequest,
        response=SecretView,
        status=201,
        also=(200,),
    ),
    Route(
        method="DELETE",
        path=ONE,
        scopes=("admin",),
        summary="Delete a secret",
        endpoint=delete_secret,
        status=204,
    ),
    Route(
        method="POST",
        path="/v1/secrets/rotate",
        scopes=("admin",),
        summary="Encrypt a slice of all secrets anew under the key that writes; go on while there is an `after`",
        endpoint=rotate_secrets,
        query=RotateQuery,
        response=RotateAnswer,
    ),
    Route(
        method="GET",
        path="/v1/secrets/keys",
        scopes=("admin",),
        summary="List the keys that secrets are encrypted under, by their ids",
        endpoint=list_secret_keys,
        response=list[KeyView],
    ),
)
