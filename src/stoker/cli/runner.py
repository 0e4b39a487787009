"""`stoker runner start FILE…`: serve the nodes of Python files."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from stoker.cli import exits, interrupts, load, numbers, terminal
from stoker.cli.failure import Usage
from stoker.cli.options import HERE, Where
from stoker.cli.reach import Server, find, listens, settings_of, with_hint
from stoker.errors import Unauthorized, Unavailable
from stoker.telemetry import lines

if TYPE_CHECKING:
    from stoker.config import Settings

LOOK_S = 0.5

app = App(name="runner", help="A runner: a process that pulls tasks and runs them.", version_flags=[], help_epilogue="")


@app.command
def start(
    file: Path,
    /,
    *files: Path,
    name: str | None = None,
    batch_size: int = 16,
    workers: int = 4,
    label: Annotated[list[str] | None, Parameter(negative=())] = None,
    resource: Annotated[list[str] | None, Parameter(negative=())] = None,
    grace: str = "25s",
    log_format: Literal["text", "json"] | None = None,
    verbose: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    where: Where = HERE,
) -> int:
    """Serve every node and graph of Python files until SIGTERM or Ctrl-C, then finish what runs.

    Parameters
    ----------
    file: Path
        A Python file.
    files: Path
        More of them.
    name: str
        What the runner is called; else host and process id.
    batch_size: int
        How many tasks to claim at once, at most.
    workers: int
        How many plain functions run at once; async ones are not limited by it.
    label: list[str]
        k=v that tasks may require; once per label.
    resource: list[str]
        k=n that tasks may require, such as gpu=1; once per resource.
    grace: str
        How long running tasks may take to end when the runner is told to stop.
    log_format: str
        How the runner itself logs: json, one object a line, or text for people.
    verbose: bool
        Show here what tasks print.
    """
    _positive("--batch-size", batch_size)
    _positive("--workers", workers)
    numbers.seconds(grace, "--grace")
    labels, resources = numbers.pairs(label or [], "--label"), numbers.amounts(resource or [], "--resource")
    nodes: list[Any] = []
    for path in (file, *files):
        loaded = load.load(path)
        graphs = load.distinct(loaded)
        for graph in graphs:
            load.checked(graph)
        nodes += [*loaded.nodes, *graphs]
    settings = settings_of(where)
    if log_format or settings.log_format == "json":
        lines.configure(log_format or settings.log_format, "stoker")
    server = server_of(settings)
    if server is None:
        return exits.OK

    from stoker.runner.runner import Runner

    runner = Runner(
        nodes,
        settings.namespace,
        name,
        server.url,
        server.token,
        batch_size,
        workers,
        labels,
        resources,
        grace,
        verbose=verbose,
    )
    terminal.note(f"runner {runner.name!r} offers {', '.join(kinds_of(nodes))}")
    terminal.note(_greeting(server, settings))
    runner.start()
    terminal.note("the runner has ended; nothing is left undone")
    return exits.OK


def server_of(settings: Settings) -> Server | None:
    """The server to serve, once there is one; None: the runner was told to end before."""
    found = _there(settings)
    if found is not None:
        return found
    with interrupts.also_by_sigterm():
        try:
            data = terminal.home(settings.data)
            terminal.note(f"no server is alive in {data}, and none is configured; waiting for one")
            terminal.note(f"  remedy: stoker server start --data {data}, or name another with --url.")
            while found is None:
                time.sleep(LOOK_S)
                found = _there(settings)
        except KeyboardInterrupt:
            terminal.note("the runner has ended")
    return found


def _there(settings: Settings) -> Server | None:
    """The data folder's token is for its server alone, so what has the usual address is spoken to only with another."""
    from stoker.runner.settings import DEFAULT_URL

    found = find(settings)
    if found is None and settings.token and listens(DEFAULT_URL):
        return Server(DEFAULT_URL, settings.token, "the usual address")
    return found


def kinds_of(nodes: list[Any]) -> list[str]:
    """The names of the kinds in nodes and graphs."""
    from stoker.runner.work import flatten

    return sorted(flatten(nodes))


def _greeting(server: Server, settings: Settings) -> str:
    """Ask the server once, so that a wrong token ends the runner at once, and a missing server is said."""
    from stoker.runner.client import Client

    with Client(server.url, server.token, settings.namespace) as client:
        try:
            client.call(client.api.wire.call("GET", "/v1/whoami"))
        except Unauthorized as error:
            raise with_hint(error, server) from None
        except Unavailable as error:
            return f"{error.message} The runner goes on trying.\n  remedy: {error.remedy}"
    return f"connected to {server.url}, namespace {settings.namespace!r}; Ctrl-C ends it"


def _positive(place: str, value: int) -> None:
    if value < 1:
        raise Usage(f"{place} is at least 1, not {value}", place=place, remedy=f"Leave out {place}, or give 1 or more.")
