"""Which server a command speaks to: the configured one, else the one that uses the data folder, else one made here."""

from __future__ import annotations

import socket
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from stoker.cli.options import Where
from stoker.config import Settings, load, read_server_file
from stoker.errors import Conflict, NotFound, StokerError, Unavailable

if TYPE_CHECKING:
    from stoker.bootstrap.embedded import Embedded
    from stoker.core.views import Page
    from stoker.runner.client import Client

T = TypeVar("T")

CONNECT_S = 1.0
NO_NAMESPACE = "no_namespace"


@dataclass(frozen=True, slots=True)
class Server:
    """A server to speak to, and how it was found."""

    url: str
    token: str | None
    how: str


@dataclass(frozen=True, slots=True)
class Reached:
    """A client, and the server inside of this process if there is one."""

    client: Client
    settings: Settings
    embedded: Embedded | None = None


def settings_of(where: Where) -> Settings:
    flags = ("url", "token", "namespace", "data", "database_url", "artifacts")
    return load({name: getattr(where, name) for name in flags})


def find(settings: Settings) -> Server | None:
    """The server that is configured or alive; None: there is none."""
    alive = read_server_file(settings.data)
    if settings.url:
        own = alive is not None and alive.url == settings.url
        return Server(settings.url, settings.token or (kept_token(settings.data) if own else None), "as configured")
    if alive is None or not listens(alive.url):
        return None
    token = settings.token or kept_token(settings.data)
    return Server(alive.url, token, f"found in {settings.data / 'server.json'}")


def listens(url: str) -> bool:
    """Whether somebody accepts connections there; a file of a killed server may name a process that is another now."""
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=CONNECT_S):
            return True
    except OSError:
        return False


def kept_token(data: Path) -> str | None:
    """The token in the data folder, if there is one."""
    path = data / "token"
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unavailable(
            f"the token in {path} cannot be read: {error.strerror}.",
            place=str(path),
            remedy="Ask as the user who runs the server, or set STOKER_TOKEN.",
        ) from None


@contextmanager
def reached(where: Where) -> Iterator[Reached]:
    """A client of the server to speak to. Without one, a server is made here, over the data folder."""
    settings = settings_of(where)
    with ExitStack() as stack:
        server = find(settings)
        if server is None:
            try:
                embedded = stack.enter_context(_embedded(settings))
            except Conflict:
                server = find(settings)  # it came up meanwhile
                if server is None:
                    raise
            else:
                yield Reached(stack.enter_context(embedded.client(settings.namespace)), settings, embedded)
                return
        from stoker.runner.client import Client

        client = stack.enter_context(Client(server.url, server.token, settings.namespace))
        try:
            yield Reached(client, settings)
        except StokerError as error:
            raise with_hint(error, server) from None


def listed(here: Reached, asked: Coroutine[Any, Any, Page[T]]) -> Page[T]:
    """A page; an empty one where nobody has pushed anything yet, so that the default namespace is not made."""
    from stoker.core.views import Page
    from stoker.runner.settings import DEFAULT_NAMESPACE

    try:
        return here.client.call(asked)
    except NotFound as error:
        if error.code != NO_NAMESPACE or here.settings.namespace != DEFAULT_NAMESPACE:
            raise
        return Page(items=[])


def _embedded(settings: Settings) -> Embedded:
    try:
        from stoker.bootstrap import keyring
        from stoker.bootstrap.embedded import Embedded
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("stoker"):
            raise
        raise Unavailable(
            f"no server is configured or alive, and to be one here the package {error.name!r} is missing.",
            remedy="Set STOKER_URL, or `pip install 'stoker[server]'`.",
        ) from None
    return Embedded(
        settings.data,
        database=settings.database_url,
        artifacts=settings.artifacts,
        keys=keyring.of(settings, make=True),
    )


def with_hint(error: StokerError, server: Server) -> StokerError:
    """Say which server refused a token, or a missing one: its own message cannot know where we looked."""
    if error.status == 401:
        had = "none is set" if server.token is None else "the one that was sent is refused"
        error.message = f"{server.url} wants a token, and {had}: {error.message}"
        error.place = ""
        error.remedy = "Set STOKER_TOKEN. On the server's machine it lies in its data folder, in the file `token`."
    return error
