"""A server that speaks Exosphere, with processes of its SDK beside it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from processes import HERE, Server, cpu_s, server
from run import database

SDK = Path(os.environ.get("EXOSPHERE_SDK", HERE.parent / ".venv-exosphere" / "bin" / "python"))
DELIVERED = re.compile(r"Enqueued states: (\d+)")
REPORTED = "Notified executed state"
KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="  # secrets are sealed with some key, or the dialect is not spoken


class Runtime:
    """One Runtime, by what it leaves: its log, and a file in which its node notes each execution."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.log, self.trace = folder / "log", folder / "trace"
        self.trace.touch()

    def executions(self) -> list[float]:
        """When each was begun, in seconds of wall clock."""
        return [float(line) for line in self.trace.read_text().splitlines()]

    def reported(self) -> int:
        return self.log.read_text().count(REPORTED)

    def delivered(self) -> list[int]:
        """How many states each of its calls that were answered has brought."""
        return [int(count) for count in DELIVERED.findall(self.log.read_text())]


class Place:
    """`trees`: processes whose children work for the server too."""

    def __init__(self, folder: Path, at: Server, trees: tuple[int, ...]) -> None:
        self.at = at
        self._folder = folder
        self._trees = trees
        self._environment = {
            "EXOSPHERE_STATE_MANAGER_URI": at.url,
            "EXOSPHERE_API_KEY": at.token,
            "PATH": os.environ["PATH"],
        }
        self._manager = self._start("manager", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._runtimes = 0

    def cpu_s(self) -> float:
        return cpu_s(self.at.pids, self._trees)

    def tell(self, line: str) -> float:
        """Have the manager do something; gives when it began to."""
        said, answers = self._manager.stdin, self._manager.stdout
        assert said
        assert answers
        print(line, file=said, flush=True)
        return float(answers.readline())

    @contextmanager
    def runtime(self, poll_s: float) -> Iterator[tuple[Runtime, subprocess.Popen[Any]]]:
        """A Runtime, 8 workers and batches of 32, that has registered its node."""
        self._runtimes += 1
        left = Runtime(self._folder / f"runtime-{self._runtimes}")
        options = json.dumps({"workers": 8, "batch_size": 32, "poll_interval": poll_s})
        with left.log.open("w") as log:
            process = self._start("runtime", str(left.trace), options, stdout=log, stderr=log)
        try:
            until(lambda: "Registered nodes" in left.log.read_text(), process)
            yield left, process
        finally:
            process.kill()
            process.wait()

    def close(self) -> None:
        self._manager.communicate()

    def _start(self, *arguments: str, **pipes: Any) -> subprocess.Popen[Any]:
        return subprocess.Popen([SDK, HERE / "exosphere_sdk.py", *arguments], env=self._environment, **pipes)


@contextmanager
def place(folder: Path, store: str, **settings: str) -> Iterator[Place]:
    """A fresh server with a Runtime's node and its graph known to it."""
    with (
        database(store) as (given, trees),
        server(folder, {"STOKER_DIALECTS": "exosphere", "STOKER_SECRET_KEY": KEY, **given, **settings}) as at,
    ):
        found = Place(folder, at, trees)
        try:
            with found.runtime(1.0):
                found.tell("graph")
            yield found
        finally:
            found.close()


def until(look: Callable[[], object], process: subprocess.Popen[Any]) -> None:
    while not look():
        if process.poll() is not None:
            raise RuntimeError(f"the Runtime ended with {process.returncode}")
        time.sleep(0.02)
