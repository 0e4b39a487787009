"""Artifacts for user code in threads, through the loop that has the connection. Downloads are kept while it runs."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from threading import Lock
from typing import Any, TypeVar

from stoker.runner.transport import Transport

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
                copy = self._copies[artifact] = self._wait(self._transport.download(self._namespace, artifact, folder))
            return copy

    def store(self, path: Path, name: str, media_type: str) -> int:
        return self._wait(self._transport.upload(self._namespace, name, media_type, Path(path))).id

    def spill(self, name: str, document: bytes) -> int:
        return self._wait(self._transport.upload(self._namespace, name, "application/json", document)).id

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

    def _wait(self, call: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(call, self._loop).result()
