"""`stoker secrets`: what nodes may read that declare it. A value comes from stdin or a prompt, and is never shown."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from cyclopts import App

from stoker.cli import exits, terminal
from stoker.cli.failure import Usage
from stoker.cli.options import HERE, Where
from stoker.cli.reach import Reached, listed, reached
from stoker.errors import StokerError

if TYPE_CHECKING:
    from stoker.core.secret_views import SecretView

app = App(name="secrets", help="Secrets of a namespace: set, list, delete, rotate.", version_flags=[], help_epilogue="")
PAGE = 1000


@app.command(name="set")
def set_(name: str, /, *, where: Where = HERE) -> int:
    """Set a secret, or set it anew. Its value is read from stdin, without the end of its last line, or asked for.

    Parameters
    ----------
    name: str
        What nodes declare it by, such as API_TOKEN.
    """
    from stoker.core.secret_views import SecretRequest

    value = _value(name)
    with reached(where) as here:
        view = here.client.call(here.client.api.secrets.put(name, SecretRequest(value=value)))
    if where.output == "json":
        terminal.document(view)
    else:
        terminal.say(f"secret {name!r} is {'set' if view.created else 'set anew'}, encrypted under the key {view.key}")
    return exits.OK


@app.command(name="list")
def list_(*, where: Where = HERE) -> int:
    """List the secrets by name, without their values."""
    with reached(where) as here:
        views = _all(here)
    if where.output == "json":
        terminal.document(views)
    elif not views:
        terminal.note("no secrets; set one with `stoker secrets set NAME`")
    else:
        rows = [[view.name, terminal.ago(view.updated_at), view.key] for view in views]
        terminal.table(["NAME", "SET", "KEY"], rows, grow="NAME")
    return exits.OK


@app.command
def delete(name: str, /, *, where: Where = HERE) -> int:
    """Delete a secret. Tasks that need it FAIL from now on.

    Parameters
    ----------
    name: str
        Its name, as `stoker secrets list` shows it.
    """
    with reached(where) as here:
        here.client.call(here.client.api.secrets.delete(name))
    if where.output == "json":
        terminal.document({"name": name, "deleted": True})
    else:
        terminal.say(f"secret {name!r} is deleted")
    return exits.OK


@app.command
def rotate(*, where: Where = HERE) -> int:
    """Encrypt the secrets of all namespaces under the server's first key. It may be interrupted, and started again."""
    with reached(where) as here:
        done = here.client.secrets.rotate()
        keys = here.client.call(here.client.api.secrets.keys())
    if where.output == "json":
        terminal.document({"rotated": done.rotated, "left": done.left, "keys": keys})
        return exits.OK if not done.left else exits.FAILED
    first = next(key.id for key in keys if key.writes)
    terminal.say(f"encrypted anew: {done.rotated}; the key that writes is {first}")
    if spent := [key.id for key in keys if key.here and not key.writes and not key.secrets]:
        terminal.note(f"no secret needs these keys any more, so the servers may forget them: {', '.join(spent)}")
    if done.left:
        raise StokerError(
            f"{len(done.left)} could not be opened: {', '.join(done.left[:5])}{' …' if len(done.left) > 5 else ''}",
            code="secret_key",
            remedy="Give the server the keys they lie under (`stoker secrets list` shows them) and rotate again; or "
            "delete them and set them anew.",
        )
    return exits.OK


def _value(name: str) -> str:
    """The value, which never stands among the arguments: other users of a machine see those."""
    if sys.stdin.isatty():
        import getpass

        value = getpass.getpass(f"value of {name} (not shown): ")
    else:
        try:
            value = sys.stdin.buffer.read().decode()
        except UnicodeDecodeError:
            raise Usage(
                "the value on stdin is not UTF-8", place="stdin", remedy="Encode bytes first, such as with `base64`."
            ) from None
        value = value.removesuffix("\n").removesuffix("\r")
    if not value:
        raise Usage(
            "the value is empty", place="stdin", remedy=f"Give it on stdin: `stoker secrets set {name} < FILE`."
        )
    return value


def _all(here: Reached) -> list[SecretView]:
    views: list[SecretView] = []
    after = None
    while True:
        page = listed(here, here.client.api.secrets.list(PAGE, after))
        views += page.items
        after = page.after
        if after is None:
            return views
