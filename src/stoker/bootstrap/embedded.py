"""A whole server inside of this process: `stoker.run`, the command line without a server, notebooks and tests.

It is the same application as a server's, on a loopback port of its own and behind a token of its own, in a thread.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stoker.api import listener
from stoker.api.app import build
from stoker.api.serve import serve
from stoker.authoring import File
from stoker.bootstrap import keyring
from stoker.bootstrap.engine import opened
from stoker.bootstrap.keyring import Keyring
from stoker.bootstrap.telemetry import with_spans
from stoker.config import data_token, remove_server_file, write_server_file
from stoker.errors import Invalid
from stoker.runner.client import Client
from stoker.runner.eventloop import new_loop
from stoker.runner.runner import Runner

if TYPE_CHECKING:
    from stoker.api.dialects.dialect import Dialect


class Embedded:
    """A server in a thread. `data` None: a folder that is thrown away at the end, and never synced to disk.

    `database`: a PostgreSQL URL, instead of SQLite in the data folder; `artifacts`: instead of the folder in there;
    `keys`: of secrets, instead of the one in there, which is made with the first secret. `dialects`: spoken besides.
    """

    def __init__(
        self,
        data: Path | None = None,
        *,
        database: str | None = None,
        artifacts: Path | None = None,
        keys: Keyring | None = None,
        dialects: Sequence[Dialect] = (),
    ) -> None:
        self._thrown_away = tempfile.TemporaryDirectory(prefix="stoker-") if data is None else None
        self.data = Path(self._thrown_away.name) if self._thrown_away else Path(data or "")
        self._database = database
        self._artifacts = artifacts
        self._keys = keys
        self._dialects = dialects
        self.token = ""
        self.url = ""
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="stoker-embedded", daemon=True)

    def __enter__(self) -> Embedded:
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if self._thrown_away is not None:
            self._thrown_away.cleanup()

    def client(self, namespace: str | None = None) -> Client:
        """A client of this server."""
        return Client(self.url, self.token, namespace)

    def runner(self, nodes: list[Any], **options: Any) -> Runner:
        """A runner of this server, in this process; options as of `Runner`."""
        return Runner(nodes, url=self.url, token=self.token, **options)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=new_loop) as runner:
                runner.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - raised anew in the thread that waits
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        kept = self._thrown_away is None
        self.token = data_token(self.data) if kept else secrets.token_urlsafe(32)
        opening = opened(
            self.data,
            durable=kept,
            root_token=self.token,
            database=self._database,
            artifacts=self._artifacts,
            keys=self._keys or keyring.beside(self.data, make=self._database is None),
        )
        async with opening as engine:
            for dialect in self._dialects:
                await dialect.begin(engine)
            app = with_spans(engine, build(engine, version=version("stoker"), dialects=self._dialects), [])
            with listener.bind("127.0.0.1", 0, insecure=False) as socket:
                self.url = listener.url(socket, "")
                if kept:
                    write_server_file(self.data, self.url, os.getpid())
                try:
                    await serve(app, socket, self._stop, ready=self._ready.set)
                finally:
                    if kept:
                        remove_server_file(self.data)


@contextmanager
def embedded(*nodes: Any, data: Path | None = None, workers: int = 4) -> Iterator[Client]:
    """A client of a server and a runner inside of this process; `nodes` are nodes or graphs to serve.

    The runner offers whatever labels and resources the nodes of these graphs require: everything runs here.
    """
    with ExitStack() as stack:
        server = stack.enter_context(Embedded(data))
        if nodes:
            labels, resources = required(nodes)
            options = {"workers": workers, "batch_size": max(16, workers), "labels": labels, "resources": resources}
            stack.enter_context(server.runner(list(nodes), **options))
        yield stack.enter_context(server.client())


def required(things: Sequence[Any]) -> tuple[dict[str, str], dict[str, float]]:
    """All labels, and the most of each resource, that the nodes of graphs ask for. Invalid if two labels differ."""
    labels: dict[str, str] = {}
    resources: dict[str, float] = {}
    graphs = [graph for thing in things if hasattr(thing, "inner") for graph in (thing, *thing.inner)]
    for node in (node for graph in graphs for node in graph.spec.nodes):
        for name, value in node.requires.labels.items():
            if labels.setdefault(name, value) != value:
                raise Invalid(
                    f"one runner cannot be both {name}={labels[name]} and {name}={value}.",
                    place=f"node {node.name!r}",
                    remedy="Start a server and a runner for each, or leave the requirement out for a run in process.",
                )
        for name, amount in node.requires.resources.items():
            resources[name] = max(amount, resources.get(name, 0.0))
    return labels, resources


def run(graph: Any, /, *args: Any, **inputs: Any) -> Any:
    """Run a graph in this process and return its result; nothing stays behind.

    `args` and `inputs` are the graph's own parameters. Raises RunFailed with the causes and tracebacks, RunCancelled,
    or NoResult. Works inside of a running event loop too (which it blocks). Files in the result are local copies.
    """
    if not hasattr(graph, "push_request"):
        raise Invalid(f"{graph!r} is not a graph.", code="not_a_graph", remedy="Decorate it with `@stoker.graph`.")
    if graph.spec.mode == "live":
        raise Invalid(
            f"the graph {graph.name!r} is live: its runs never end, so there is no result to wait for.",
            code="live_graph",
            remedy="Trigger it on a server: `with stoker.embedded(graph) as client: run = client.trigger(graph)`.",
        )
    bound = graph.bind(*args, **inputs)
    with embedded(graph) as client:
        return _kept(client.trigger(graph, **bound).result())


def _kept(value: Any) -> Any:
    """A result whose files outlive the server: copied to a folder of this process."""
    match value:
        case File():
            folder = Path(tempfile.mkdtemp(prefix="stoker-result-"))
            copy = folder / value.path.name
            copy.write_bytes(value.read_bytes())
            return File(copy, name=value.name, media_type=value.media_type)
        case dict():
            return {key: _kept(item) for key, item in value.items()}
        case list():
            return [_kept(item) for item in value]
        case _:
            return value
