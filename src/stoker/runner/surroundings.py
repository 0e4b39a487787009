"""What a runner takes from the process it lives in: a clock, dice, and who runs user code. A simulation has its own."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from stoker.runner import workers
from stoker.runner.access import LoopAccess
from stoker.runner.execute import Access, Kit
from stoker.runner.job import Job
from stoker.runner.mailbox import Mailbox
from stoker.runner.transport import Transport
from stoker.runner.work import Work


class Workers(Protocol):
    """Whoever runs user code. Called from the loop; outcomes go to the mailbox."""

    def start(self, jobs: Iterable[Job]) -> None: ...
    def take_back(self, job: Job) -> bool: ...
    def in_thread(self, job: Job) -> bool: ...
    def close(self) -> None: ...


class Files(Access, Protocol):
    """Artifacts for attempts, as long as the runner runs."""

    def close(self) -> None: ...


class Surroundings(NamedTuple):
    """`now`: seconds that never run backwards. `jitter`: from 0 to 1; it spreads retries, and hides nothing."""

    now: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random
    workers: Callable[[Iterable[Work], int, Kit, Mailbox], Workers] = workers.Workers
    access: Callable[[Transport, str, asyncio.AbstractEventLoop], Files] = LoopAccess
