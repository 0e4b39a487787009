"""One data folder, one process: an advisory lock that ends with the process that holds it."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stoker.config import read_server_file
from stoker.errors import Conflict, Unavailable


@contextmanager
def locked(data: Path) -> Iterator[None]:
    """Hold the data folder for one process. Conflict names the one that has it."""
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Unavailable(
            f"the data folder cannot be used: {error.strerror}.",
            code="data_folder",
            place=str(data),
            remedy="Make it writable for this user, or name another with --data.",
        ) from None
    try:
        _lock(handle, data)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, data: Path) -> None:
    for left in range(50, -1, -1):  # a predecessor that is just ending gets a moment
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if left == 0 or read_server_file(data) is not None:
                break
            time.sleep(0.1)
        else:
            return
    server = read_server_file(data)
    by = f"the server {server.url} (pid {server.pid})" if server else "another process"
    raise Conflict(
        f"the data folder is in use by {by}.",
        code="data_in_use",
        place=str(data),
        remedy="Use that server (set STOKER_URL), end it, or name another folder with --data.",
    )
