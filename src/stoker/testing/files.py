"""Artifacts for user code in a world: plain code waits for them in virtual time. Fills the runner's port `Files`."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from shutil import rmtree
from typing import Any, TypeVar

from stoker.errors import Unavailable
from stoker.runner.backoff import Backoff
from stoker.runner.partial import DAMAGED
from stoker.runner.transport import Transport
from stoker.testing.strand import wait

T = TypeVar("T")


class VirtualFiles:
    """Downloads are kept as long as the runner runs."""

    def __init__(self, transport: Transport, namespace: str, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._namespace = namespace
        self._loop = loop
        self._folder = Path(tempfile.mkdtemp(prefix="stoker-artifacts-"))
        self._copies: dict[int, asyncio.Task[Path]] = {}

    def fetch(self, artifact: int) -> Path:
        return wait(lambda: asyncio.shield(self._copy(artifact)))

    def store(self, path: Path, name: str, media_type: str) -> int:
        return wait(lambda: _tried(lambda: self._transport.upload(self._namespace, name, media_type, Path(path)))).id

    def spill(self, name: str, document: bytes) -> int:
        upload = self._transport.upload
        return wait(lambda: _tried(lambda: upload(self._namespace, name, "application/json", document))).id

    def close(self) -> None:
        rmtree(self._folder, ignore_errors=True)

    def _copy(self, artifact: int) -> asyncio.Task[Path]:
        copy = self._copies.get(artifact)
        if copy is None or (copy.done() and (copy.cancelled() or copy.exception() is not None)):
            folder = self._folder / str(artifact)
            download = self._transport.download
            copy = self._loop.create_task(_tried(lambda: download(self._namespace, artifact, folder)))
            self._copies[artifact] = copy
        return copy


async def _tried(call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Call, again and again while the server is away."""
    backoff = Backoff()
    while True:
        try:
            return await call()
        except Unavailable as error:
            if error.code == DAMAGED:
                raise
            await asyncio.sleep(backoff.failed(0.5))
