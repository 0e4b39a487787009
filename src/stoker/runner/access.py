"""Artifacts for user code in threads, through the loop that has the connection. Downloads are kept while it runs.

A server that is away is waited for, as reports wait for it: what an attempt has done is not lost by a restart.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from threading import Lock
from typing import Any, TypeVar

from stoker.authoring.task import current_task
from stoker.errors import Conflict, Unavailable
from stoker.runner.backoff import Backoff
from stoker.runner.partial import DAMAGED
from stoker.runner.transport import Transport

LOOK_S = 0.1  # how soon code that waits here hears that it is to stop

T = TypeVar("T")


class LoopAccess:
    """`loop` is the runner's own, never the one of user code: waiting for it here blocks nothing that it needs."""

    def __init__(self, transport: Transport, namespace: str, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._namespace = namespace
        self._loop = loop
        self._lock = Lock()
        self._folder: Path | None = None
        self._locks: dict[int, Lock] = {}
        self._copies: dict[int, Path] = {}

    def fetch(self, artifact: int) -> Path:
        """Return a local copy; the second time, the same one."""
        with self._lock_of(artifact):
            copy = self._copies.get(artifact)
            if copy is None or not copy.exists():
                folder = self._cache() / str(artifact)
                copy = self._copies[artifact] = self._wait(
                    lambda: self._transport.download(self._namespace, artifact, folder)
                )
            return copy

    def store(self, path: Path, name: str, media_type: str) -> int:
        return self._wait(lambda: self._transport.upload(self._namespace, name, media_type, Path(path))).id

    def spill(self, name: str, document: bytes) -> int:
        return self._wait(lambda: self._transport.upload(self._namespace, name, "application/json", document)).id

    def close(self) -> None:
        if self._folder is not None:
            with suppress(OSError):
                rmtree(self._folder)

    def _lock_of(self, artifact: int) -> Lock:
        with self._lock:
            return self._locks.setdefault(artifact, Lock())

    def _cache(self) -> Path:
        with self._lock:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="stoker-artifacts-"))
            return self._folder

    def _wait(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Call, again and again while the server is away, until the task is told to stop."""
        backoff = Backoff()
        while True:
            try:
                return asyncio.run_coroutine_threadsafe(call(), self._loop).result()
            except Unavailable as error:
                if error.code == DAMAGED or not _goes_on(backoff.failed(random.random())):  # noqa: S311 - spreads calls
                    raise


def _goes_on(seconds: float) -> bool:
    """Wait; whether the task of this thread still goes on then. Without a task there is none to wait for."""
    try:
        task = current_task()
    except Conflict:
        return False
    ends = time.monotonic() + seconds
    while not task.cancelled and (left := ends - time.monotonic()) > 0:
        time.sleep(min(left, LOOK_S))
    return not task.cancelled
