"""A runner: serves nodes until it is told to stop."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from types import FrameType
from typing import Any

from stoker.core.digest import digest
from stoker.core.duration import SECOND, micros
from stoker.core.protocol import RunnerInfo
from stoker.errors import Unavailable
from stoker.runner.http import HttpTransport
from stoker.runner.loop import Loop
from stoker.runner.origin import check_not_importing
from stoker.runner.output import Capture
from stoker.runner.session import Session
from stoker.runner.settings import namespace_of, token_of, url_of
from stoker.runner.transport import Transport
from stoker.runner.work import flatten

END_S = 20.0  # beyond the grace: stop, flush, leave, close


class Runner:
    """Serves `nodes` (nodes, or graphs: their nodes) of one namespace.

    `batch_size`: tasks claimed at most at once; `workers`: sync tasks that run at once (async ones: all that are held).
    `labels` and `resources` are what tasks may require. `grace`: how long running tasks may take to end when the runner
    is told to stop. `url` and `token` default to STOKER_URL and STOKER_TOKEN; `transport` replaces both.
    `verbose`: show on the runner's own streams what tasks print. Raises Invalid when the nodes cannot be served.
    """

    def __init__(
        self,
        nodes: Sequence[Any],
        namespace: str | None = None,
        name: str | None = None,
        url: str | None = None,
        token: str | None = None,
        batch_size: int = 16,
        workers: int = 4,
        labels: dict[str, str] | None = None,
        resources: dict[str, float] | None = None,
        grace: str | float = "25s",
        transport: Transport | None = None,
        *,
        verbose: bool = False,
    ) -> None:
        check_not_importing()
        self.name = name or f"{socket.gethostname()}-{os.getpid()}"
        self._grace_s = micros(grace) / SECOND
        self._verbose = verbose
        self._capture: Capture | None = None
        works = flatten(nodes)
        info = RunnerInfo(
            name=self.name,
            kinds=sorted(works),
            labels=labels or {},
            resources=resources or {},
            capacity=max(batch_size, workers),
            version=_version(),
            digests={name: str(digest(work.kind)) for name, work in works.items()},
        )
        self._loop = Loop(
            Session(secrets.token_hex(16), info, batch=batch_size),
            transport or HttpTransport(url_of(url), token_of(token)),
            namespace_of(namespace),
            works,
            workers,
        )

    def start(self) -> None:
        """Serve until SIGTERM or SIGINT, then finish within the grace. A second signal ends the process at once.

        Raises Unauthorized or Forbidden when the server refuses this runner.
        """
        with _signals(self._loop, self._grace_s):
            self._begin()
            while not self._loop.ended.wait(3600):
                pass
        self._end()

    def start_background(self, timeout: float = 30.0) -> Runner:
        """Serve in a thread; return once the server knows this runner's kinds.

        Raises Unavailable when that takes longer than `timeout` seconds.
        """
        self._begin()
        known = self._loop.serving.wait(timeout)
        if self._loop.ended.is_set():
            self._end()
        if not known:
            self.stop(0)
            raise Unavailable(f"the server did not answer within {timeout:g} seconds", place=self.name)
        return self

    def stop(self, grace: str | float | None = None) -> None:
        """Stop as on SIGTERM and wait until it is done. Raises what ended the runner, if something did."""
        grace_s = self._grace_s if grace is None else micros(grace) / SECOND
        self._loop.stop(grace_s)
        self._loop.ended.wait(grace_s + END_S)
        self._end()

    def __enter__(self) -> Runner:
        return self.start_background()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _begin(self) -> None:
        self._capture = Capture(verbose=self._verbose)
        self._loop.start()

    def _end(self) -> None:
        if self._capture is not None:
            self._capture.close()
        self._loop.join(1.0)
        if self._loop.error is not None:
            raise self._loop.error


@contextmanager
def _signals(loop: Loop, grace_s: float) -> Iterator[None]:
    """Stop the loop on the first signal, the process on the second. Only the main thread can listen to signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    told = False

    def on_signal(number: int, _frame: FrameType | None) -> None:
        nonlocal told
        if told:
            os._exit(128 + number)
        told = True
        loop.stop(grace_s)

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _version() -> str:
    try:
        return version("stoker")
    except PackageNotFoundError:
        return ""
