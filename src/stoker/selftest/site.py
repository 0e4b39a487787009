"""The servers and runners of a selftest, in a folder of their own, with settings of their own.

Nothing of the user's settings reaches them: neither the environment's STOKER_* nor a `stoker.toml` in some folder.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from stoker.bootstrap.place import Place
from stoker.errors import StokerError, Unavailable
from stoker.runner.client import Client
from stoker.selftest import work
from stoker.selftest.process import Process
from stoker.selftest.wire import Wire

T = TypeVar("T")

START_S = 60.0
LOOK_S = 0.02
TRACEBACK = "Traceback (most recent call last)"


class Server:
    """One server with a data folder of its own; it keeps the port that it gets. `wire`: how runners reach it."""

    def __init__(self, site: Site, name: str) -> None:
        self._site = site
        self.name = name
        self.data = site.folder / name
        self.url = ""
        self.wire: Wire | None = None
        self.process = self._started("0")

    def await_ready(self) -> None:
        """Return when it has said where it serves."""
        ends = time.monotonic() + START_S
        while not (found := self._said()):
            if self.process.ended or time.monotonic() > ends:
                raise _not_started(self.name, self.process.log)
            time.sleep(LOOK_S)
        self.url = found
        self.wire = Wire(found)

    def cut_off(self) -> None:
        """Nobody reaches it through its wire any more."""
        if self.wire is not None:
            self.wire.close()
            self.wire = None

    def child(self) -> int | None:
        """The serving process behind the supervisor, where it can be known."""
        return next((pid for pid in self.process.members() if pid != self.process.head), None)

    def start_again(self) -> None:
        self.process = self._started(self.url.rpartition(":")[2])

    def _started(self, port: str) -> Process:
        return self._site.start(self.name, "server", "start", "--port", port, "--data", str(self.data))

    def _said(self) -> str | None:
        try:
            return str(json.loads((self.data / "server.json").read_text())["url"])
        except (OSError, ValueError, KeyError):
            return None


class Runner:
    """A runner of one server, under one name, whatever process it is just now."""

    def __init__(self, site: Site, name: str, server: Server, batch_size: int) -> None:
        self._site = site
        self.name = name
        assert server.wire is not None
        self._url = server.wire.url
        self._batch_size = str(batch_size)
        self.process = self._started()

    def start_again(self) -> None:
        self.process = self._started()

    def _started(self) -> Process:
        options = ("--name", self.name, "--batch-size", self._batch_size, "--grace", "3s")
        where = ("--url", self._url)
        return self._site.start(self.name, "runner", "start", str(work.__file__), *options, *where)


class Site:
    """All of it; `close` ends every process that was ever started here. `database`: None for SQLite in the folder."""

    def __init__(self, folder: Path, database: str | None = None) -> None:
        self.folder = folder
        self.logs = folder / "logs"
        self.logs.mkdir(parents=True)
        self.traces = folder / "traces"
        self.token = f"stk_{secrets.token_urlsafe(24)}"
        self.servers: list[Server] = []
        self.runners: list[Runner] = []
        self.leaving: list[Process] = []
        self._settings = {"STOKER_TOKEN": self.token, "STOKER_ARTIFACTS": str(folder / "artifacts")}
        self._database = {} if database is None else {"STOKER_DATABASE_URL": database}
        self.place = Place(data=folder / "server-1", artifacts=folder / "artifacts", database=database)

    def __enter__(self) -> Site:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add_server(self) -> Server:
        server = Server(self, f"server-{len(self.servers) + 1}")
        self.servers.append(server)
        server.await_ready()
        return server

    def add_runner(self, server: Server, batch_size: int = 8) -> Runner:
        runner = Runner(self, f"runner-{len(self.runners) + 1}", server, batch_size)
        self.runners.append(runner)
        return runner

    def client(self, server: Server) -> Client:
        return Client(server.url, self.token, "default")

    def start(self, name: str, *arguments: str) -> Process:
        """A process whose settings are these alone."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("STOKER_")}
        environment |= self._settings | {work.TRACE: str(self.traces)}
        environment |= self._database if arguments[0] == "server" else {}
        return Process(arguments, environment, self.folder, self.logs / f"{name}.log")

    def wires(self) -> list[Wire]:
        return [server.wire for server in self.servers if server.wire is not None]

    def connected(self) -> int:
        """How many runners the first server knows."""
        with self.client(self.servers[0]) as client:
            return sum(view.connected for view in client.call(client.api.runners()))

    def tend(self) -> list[str]:
        """Start again whatever has ended; gives its names."""
        self.leaving = [process for process in self.leaving if not process.reaped()]
        dead = [one for one in self._all() if one.process.ended]
        for one in dead:
            self.leaving.append(one.process)
            one.start_again()
        return [one.name for one in dead]

    def resume(self) -> None:
        """Whatever was stopped goes on, networks too."""
        for process in self._processes():
            process.send(signal.SIGCONT, whole=True)
        for wire in self.wires():
            wire.heal()

    def shut(self) -> list[str]:
        """Ask everything to end, runners first; gives what did not, and what outlived the one that had started it."""
        self.resume()
        unwilling = [one.name for one in self._all() if not one.process.end(signal.SIGTERM)]
        outlived = [process.log.name for process in self.leaving if not process.end(signal.SIGTERM)]
        self._forget()
        told = [f"{name} did not end when it was told to" for name in unwilling]
        return told + [f"a process that wrote {name} outlived the one that had started it" for name in outlived]

    def faults(self) -> list[str]:
        """The last line of each traceback in the logs: whatever is killed, nobody shall be at a loss."""
        return [fault for log in sorted(self.logs.glob("*.log")) for fault in faults_of(log)]

    def close(self) -> None:
        for process in self._processes():
            process.end()
        self._forget()

    def _forget(self) -> None:
        for server in self.servers:
            server.cut_off()
        self.servers, self.runners, self.leaving = [], [], []

    def _all(self) -> list[Server | Runner]:
        return [*self.runners, *self.servers]

    def _processes(self) -> Iterator[Process]:
        yield from (one.process for one in self._all())
        yield from self.leaving


def faults_of(log: Path) -> list[str]:
    """What each traceback in a log ends with, where it stands, and how often it is there."""
    found: Counter[str] = Counter()
    inside = False
    for line in log.read_text(errors="replace").splitlines():
        if line.startswith(TRACEBACK):
            inside = True
        elif inside and line and not line.startswith((" ", "\t")):
            found[line] += 1
            inside = False
    return [f"{log.name} has {count} times: {line}" for line, count in found.items()]


def until(look: Callable[[], T | None], timeout: float, what: str) -> T:
    """Wait for a fact of other processes; Unavailable if it does not come true."""
    ends = time.monotonic() + timeout
    while True:
        try:
            found = look()
        except Unavailable:
            found = None
        if found:
            return found
        if time.monotonic() > ends:
            raise Unavailable(f"waited {timeout:g} s for {what}, in vain.", code="selftest_waits")
        time.sleep(LOOK_S)


def _not_started(name: str, log: Path) -> StokerError:
    said = log.read_text(errors="replace").strip().splitlines()[-12:] if log.exists() else []
    return Unavailable(
        f"{name} did not start: it said\n    " + "\n    ".join(said or ["nothing"]),
        code="selftest_start",
        place=str(log),
        remedy="`stoker doctor` says what is missing here.",
    )
