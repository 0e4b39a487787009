"""`stoker roles`: named sets of scopes, for tokens."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from stoker.cli import exits, terminal
from stoker.cli.failure import Usage
from stoker.cli.options import HERE, Where
from stoker.cli.reach import reached
from stoker.core.roles import SCOPES, ScopeName

app = App(name="roles", help="Roles of tokens: list, set, delete.", version_flags=[], help_epilogue="")


@app.command(name="list")
def list_(*, where: Where = HERE) -> int:
    """List the roles with what they allow, and how many tokens have each."""
    with reached(where) as here:
        views = here.client.call(here.client.api.roles())
    if where.output == "json":
        terminal.document(views)
    else:
        rows = [
            [view.name, ", ".join(view.scopes), str(view.tokens), "built in" if view.built_in else ""] for view in views
        ]
        terminal.table(["ROLE", "SCOPES", "TOKENS", ""], rows, grow="SCOPES")
    return exits.OK


@app.command(name="set")
def set_(
    name: str,
    /,
    *,
    scope: Annotated[list[ScopeName] | None, Parameter(negative=())] = None,
    where: Where = HERE,
) -> int:
    """Make a role, or change it: as it is said here, it is then. Its tokens may do so from their next call on.

    Parameters
    ----------
    name: str
        What it is called.
    scope: list[str]
        What it allows; give it once per scope.
    """
    from stoker.core.views import RoleRequest

    if not scope:
        raise Usage("a role needs at least one scope", place="--scope", remedy=f"Add --scope {', '.join(SCOPES)}.")
    with reached(where) as here:
        view = here.client.call(here.client.api.put_role(name, RoleRequest(scopes=scope)))
    if where.output == "json":
        terminal.document(view)
    else:
        terminal.say(f"role {name} {'is made' if view.created else 'is changed'}: {', '.join(view.scopes)}")
    return exits.OK


@app.command
def delete(name: str, /, *, where: Where = HERE) -> int:
    """Delete a role that no token has.

    Parameters
    ----------
    name: str
        The role.
    """
    with reached(where) as here:
        here.client.call(here.client.api.delete_role(name))
    if where.output == "json":
        terminal.document({"name": name, "deleted": True})
    else:
        terminal.say(f"role {name} is deleted")
    return exits.OK
