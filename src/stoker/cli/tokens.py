"""`stoker tokens`: who may do what on the server."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from stoker.cli import exits, numbers, terminal
from stoker.cli.failure import Usage
from stoker.cli.options import HERE, Where
from stoker.cli.reach import reached
from stoker.core.roles import BUILT_IN, SCOPES, ScopeName

app = App(name="tokens", help="Tokens of the server: create, list, revoke.", version_flags=[], help_epilogue="")


@app.command
def create(
    name: str,
    /,
    *,
    role: str | None = None,
    scope: Annotated[list[ScopeName] | None, Parameter(negative=())] = None,
    only_namespace: Annotated[list[str] | None, Parameter(negative=())] = None,
    kind: Annotated[list[str] | None, Parameter(negative=())] = None,
    expires: str | None = None,
    where: Where = HERE,
) -> int:
    """Make a token. It is shown once; only its hash is kept.

    Parameters
    ----------
    name: str
        What it is for.
    role: str
        viewer, operator, developer, runner, admin, or one of `stoker roles list`.
    scope: list[str]
        What it may do, besides its role; give it once per scope.
    only_namespace: list[str]
        Where it holds; else everywhere.
    kind: list[str]
        The kinds that it may run; else all.
    expires: str
        After how long it ends, such as 30d; else never.
    """
    from stoker.core.views import TokenRequest

    if not scope and role is None:
        remedy = f"Add --role {', '.join(BUILT_IN)}, or --scope {', '.join(SCOPES)}."
        raise Usage("a token needs a role, or at least one scope", place="--role", remedy=remedy)
    if where.namespace:
        remedy = f"Write --only-namespace {where.namespace}, or leave it out for one that holds everywhere."
        raise Usage("--namespace does not limit a token", place="--namespace", remedy=remedy)
    request = TokenRequest(
        name=name,
        scopes=scope or [],
        role=role,
        namespaces=only_namespace or [],
        kinds=kind or [],
        expires_in_s=numbers.seconds(expires, "--expires"),
    )
    with reached(where) as here:
        view = here.client.call(here.client.api.create_token(request))
    if where.output == "json":
        terminal.document(view)
        return exits.OK
    what = f"{view.role} ({', '.join(view.scopes)})" if view.role else ", ".join(view.scopes)
    holds = f"in {', '.join(only_namespace)}" if only_namespace else "in every namespace"
    terminal.note(f"token {view.id} {view.name!r} for {what} {holds}; it is shown this once:")
    terminal.say(view.token or "")
    return exits.OK


@app.command(name="list")
def list_(*, where: Where = HERE) -> int:
    """List the tokens, without their secrets."""
    with reached(where) as here:
        views = here.client.call(here.client.api.tokens())
    if where.output == "json":
        terminal.document(views)
    elif not views:
        terminal.note("no tokens but the server's own")
    else:
        rows = [
            [
                str(view.id),
                view.name,
                view.role or "",
                ", ".join(view.scopes),
                ", ".join(view.namespaces),
                ", ".join(view.kinds) or "*",
                f"revoked {terminal.ago(view.revoked_at)}" if view.revoked_at else _until(view.expires_at),
            ]
            for view in views
        ]
        terminal.table(["ID", "NAME", "ROLE", "SCOPES", "NAMESPACES", "KINDS", "HOLDS"], rows, grow="SCOPES")
    return exits.OK


@app.command
def revoke(id: str, /, *, where: Where = HERE) -> int:  # noqa: A002
    """End a token: from now on it opens nothing.

    Parameters
    ----------
    id: str
        Its number, as `stoker tokens list` shows it.
    """
    number = numbers.id_of(id, "token")
    with reached(where) as here:
        here.client.call(here.client.api.revoke_token(number))
    if where.output == "json":
        terminal.document({"id": number, "revoked": True})
    else:
        terminal.say(f"token {number} is revoked")
    return exits.OK


def _until(at: object) -> str:
    from datetime import datetime

    if not isinstance(at, datetime):
        return "until revoked"
    return "expired" if at < terminal.now() else f"until {at:%Y-%m-%d %H:%M} UTC"
