"""A server and runners as real processes, to be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import stoker
from stoker.core.views import TaskView

HERE = Path(__file__).parent
T = TypeVar("T")


class Site:
    """One server's data folder and everything started on it; `close` ends all of it. `settings`: of the server."""

    def __init__(self, folder: Path, settings: dict[str, str] | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.settings = settings or {}
        self.data = folder / "data"
        self.trace = folder / "trace"
        self.log = folder / "log"
        self.trace.touch()
        self.started: list[subprocess.Popen[bytes]] = []
        self.server = self.start("server", "start", "--port", "0", "--data", str(self.data))
        try:
            found = until(self._server_file, "the server to start")
        except AssertionError as error:
            self.server.kill()
            self.server.wait()
            raise AssertionError(f"{error}: {self.log.read_text()}") from None
        self.url: str = found["url"]
        self.token = self.settings.get("STOKER_TOKEN") or (self.data / "token").read_text().strip()
        self.client = stoker.Client(self.url, self.token)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        environment = {**os.environ, **self.settings, "WORK_TRACE": str(self.trace)}
        if hasattr(self, "url"):
            environment |= {"STOKER_URL": self.url, "STOKER_TOKEN": self.token}
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "stoker.cli", *arguments]
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        self.started.append(process)
        return process

    def runner(self, name: str, *options: str) -> subprocess.Popen[bytes]:
        """A runner that the server knows."""
        process = self.start("runner", "start", str(HERE / "work.py"), "--name", name, *options)
        until(lambda: self.session_of(name), f"the runner {name} to connect")
        return process

    def session_of(self, name: str) -> int | None:
        views = self.client.call(self.client.api.runners())
        return next((view.session for view in views if view.name == name and view.connected), None)

    def child(self) -> int:
        """The serving process behind the supervisor."""
        children = Path(f"/proc/{self.server.pid}/task/{self.server.pid}/children").read_text().split()
        return int(children[0]) if children else 0

    def kill_child(self) -> None:
        if child := self.child():
            os.kill(child, signal.SIGKILL)

    def tasks(self, run: int) -> list[TaskView]:
        found: list[TaskView] = []
        after = None
        while True:
            page = self.client.call(self.client.api.tasks(run, limit=1000, after=after))
            found += page.items
            after = page.after
            if after is None:
                return found

    def executions(self) -> list[tuple[int, int, int]]:
        """Every (run, x, attempt) that user code saw."""
        lines = [line.split() for line in self.trace.read_text().splitlines()]
        return [(int(run), int(x), int(attempt)) for run, x, attempt in lines]

    def stops(self, word: str) -> dict[str, list[str]]:
        """What code that is to be stopped noted under a word, by its name; the time is the last."""
        path = self.trace.with_name(f"{self.trace.name}.stops")
        lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        return {name: rest for said, name, *rest in lines if said == word}

    def close(self) -> None:
        self.client.close()
        for process in reversed(self.started):
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self.started:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _server_file(self) -> dict[str, str] | None:
        try:
            found: dict[str, str] = json.loads((self.data / "server.json").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return found


def until(look: Callable[[], T | None], what: str, timeout: float = 60) -> T:
    """Wait for a fact of another process, which tells nobody when it becomes true."""
    ends = time.monotonic() + timeout
    while not (found := look()):
        assert time.monotonic() < ends, f"waited {timeout:g} s for {what}, in vain"
        time.sleep(0.02)
    return found


def patiently(call: Callable[[], T], timeout: float = 60) -> T:
    """As a client that tries again while the server is away."""
    ends = time.monotonic() + timeout
    while True:
        try:
            return call()
        except stoker.Unavailable:
            assert time.monotonic() < ends
            time.sleep(0.02)
