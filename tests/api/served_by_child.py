"""What the supervisor's child serves in the tests: an application over the engine in memory, with some faults.

Arguments: the folder in which to note what happens, and how to behave.
"""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from api.fake import make
from stoker.api.app import App, build
from stoker.errors import Invalid


@asynccontextmanager
async def factory(arguments: Sequence[str]) -> AsyncIterator[App]:
    folder, behaviour = Path(arguments[0]), arguments[1]
    if behaviour == "refuse":
        raise Invalid("the schema is newer than this version", remedy="Install the newer one.")
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # as the store does: two at once would fail here
        with (folder / "pids").open("a") as pids:
            pids.write(f"{os.getpid()}\n")
        if behaviour == "die first" and len((folder / "pids").read_text().split()) == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if behaviour == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        engine = make()
        engine.allow("all", "admin")
        yield build(engine, version="1")
        (folder / "released").touch()
