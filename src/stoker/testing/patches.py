"""What user code finds changed in its process while a world plays: its output is captured, `time.sleep` is virtual, and
its log records carry the time of the world, so that what is kept of them is the same for the same seed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from stoker.core.duration import SECOND, Micros, micros
from stoker.runner.output import JOURNAL, Capture
from stoker.testing.loop import pause
from stoker.testing.strand import is_aside, wait


@contextmanager
def around_user_code(now: Callable[[], Micros]) -> Iterator[None]:
    """All of it, as long as the world plays; nothing else in the process notices."""
    capture = Capture()
    try:
        with _virtual_sleep(), _virtual_records(now):
            yield
    finally:
        capture.close()


@contextmanager
def _virtual_sleep() -> Iterator[None]:
    real = time.sleep

    def sleep(seconds: Any, /) -> None:
        if is_aside():
            wait(lambda: pause(micros(seconds)))
        else:
            real(seconds)

    time.sleep = sleep
    try:
        yield
    finally:
        time.sleep = real


@contextmanager
def _virtual_records(now: Callable[[], Micros]) -> Iterator[None]:
    real = logging.getLogRecordFactory()

    def record(*args: Any, **kwargs: Any) -> logging.LogRecord:
        made = real(*args, **kwargs)
        if JOURNAL.get() is not None:
            made.created, made.msecs = now() / SECOND, now() % SECOND // 1_000
        return made

    logging.setLogRecordFactory(record)
    try:
        yield
    finally:
        logging.setLogRecordFactory(real)
