"""`stoker dev FILE`: a server here, and a runner in a process of its own that is replaced when the code changes."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from stoker.cli import exits, interrupts, load, terminal
from stoker.cli.options import HERE, Where
from stoker.cli.reach import settings_of
from stoker.config import DIALECTS
from stoker.errors import Conflict, Unavailable

if TYPE_CHECKING:
    from stoker.bootstrap.embedded import Embedded

GRACE_S = 5.0


def dev(file: Path, /, *, where: Where = HERE) -> int:
    """Serve a file here while you work on it: a server and a runner that reloads when a Python file beside it changes.

    Graphs are pushed at the start and after each change. Ctrl-C ends both; runs and results stay in the data folder.

    Parameters
    ----------
    file: Path
        The Python file with nodes and graphs.
    """
    load.check(file)
    settings = settings_of(where)
    if where.url:
        raise Conflict("`stoker dev` is a server itself; --url has no meaning here", remedy="Leave it out.")
    try:
        from watchfiles import PythonFilter, watch

        from stoker.bootstrap import dialects, keyring
        from stoker.bootstrap.embedded import Embedded
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("stoker"):
            raise
        raise Unavailable(
            f"the package {error.name!r} is missing.", remedy="Run `pip install 'stoker[server]'`."
        ) from None
    with interrupts.also_by_sigterm(), ExitStack() as stack:
        server = stack.enter_context(
            Embedded(
                settings.data,
                database=settings.database_url,
                artifacts=settings.artifacts,
                keys=keyring.of(settings, make=True),
                dialects=dialects.made(replace(settings, dialects=DIALECTS)),
            )
        )
        terminal.note(f"stoker dev serves {file} on {server.url}, data in {terminal.home(settings.data)}")
        terminal.note(f"it speaks {', '.join(DIALECTS)} too: the same URL, the same token")
        terminal.note("Ctrl-C ends it; a saved change reloads it")
        child = stack.enter_context(_Child(file, server, settings.namespace))
        try:
            for changes in watch(file.resolve().parent, watch_filter=PythonFilter(), raise_interrupt=True):
                names = ", ".join(sorted({Path(path).name for _, path in changes}))
                terminal.note(f"{names} changed; reloading")
                child.replace()
        except KeyboardInterrupt:
            terminal.note("\nending")
    terminal.note("ended; runs and results are kept")
    return exits.OK


@dataclass(slots=True)
class _Child:
    """The runner's process. Its stdin is a pipe from here: when this process is gone, so is the runner."""

    file: Path
    server: Embedded
    namespace: str
    process: subprocess.Popen[bytes] | None = field(default=None)

    def __enter__(self) -> _Child:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def replace(self) -> None:
        self._stop()
        self._start()

    def _start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "stoker.cli.reloaded", str(self.file)],
            stdin=subprocess.PIPE,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("STOKER_SECRET_KEY")},
                "STOKER_URL": self.server.url,
                "STOKER_TOKEN": self.server.token,
                "STOKER_NAMESPACE": self.namespace,
            },
            process_group=0,  # a terminal's Ctrl-C is for the server's process, which ends this one
        )

    def _stop(self) -> None:
        process = self.process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(GRACE_S + 10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin is not None:
            process.stdin.close()
