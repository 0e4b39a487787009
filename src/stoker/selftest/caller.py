"""The callers of the grinder, each in a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from random import Random

from stoker.runner.client import Client
from stoker.selftest.acts import Acts

PATIENCE_S = 90.0
TEND_S = 0.05


class Caller(threading.Thread):
    """Calls until told to stop; then finishes the call that it is at. `trouble`: what ended it."""

    def __init__(self, name: str, client: Client, seed: str) -> None:
        super().__init__(name=name, daemon=True)
        self._client = client
        self._pauses = Random(f"{seed}/{name}/pauses")  # noqa: S311 - draws what happens, protects nothing
        self._stopping = threading.Event()
        self._given_up = threading.Event()
        self._acts = Acts(name, client, seed, lambda: not self._given_up.wait(0.1))
        self.trouble: Exception | None = None

    @property
    def runs(self) -> list[int]:
        """What was acknowledged."""
        return self._acts.runs

    @property
    def retried(self) -> set[int]:
        """Runs that it asked to retry, whether that was acknowledged or not."""
        return self._acts.retried

    def run(self) -> None:
        try:
            while not self._stopping.wait(self._pauses.uniform(0.01, 0.12)):
                self._acts.act()
        except Exception as error:  # noqa: BLE001 - told by `finish`
            self.trouble = error

    def finish(self, tend: Callable[[], object]) -> None:
        """Stop, and wait for the call that it is at; `tend` keeps up what it calls. Raises what went wrong."""
        self._stopping.set()
        ends = time.monotonic() + PATIENCE_S
        while self.is_alive() and time.monotonic() < ends:
            tend()
            self.join(TEND_S)
        self._given_up.set()
        self.join()
        self._client.close()
        if self.trouble is not None:
            raise self.trouble
