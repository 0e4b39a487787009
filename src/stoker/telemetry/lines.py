"""Lines of a log: text for people, or JSON, one object a line, for what collects them.

The standard library's `logging`, not a library of its own: all that speaks here and in what we use speaks it already.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any, Literal

Format = Literal["text", "json"]

NOISY = ("uvicorn", "asyncio")  # below a warning they tell nothing that we do not
_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """`at`, `level`, `logger`, `message`, then what the record carries (`run`, `task`, …), and an `error` if any."""

    def format(self, record: logging.LogRecord) -> str:
        carried = {name: value for name, value in record.__dict__.items() if name not in _OWN}
        if record.exc_info:
            carried["error"] = self.formatException(record.exc_info)
        return line(record.created, record.levelname, record.name, record.getMessage(), carried)


class TextLines(logging.Formatter):
    """`2026-11-01T08:00:00.123Z INFO stoker.events: run 12 is FAILED`."""

    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self.converter = time.gmtime


def line(at: float, level: str, logger: str, message: str, carried: dict[str, Any]) -> str:
    """One line of JSON. `at`: seconds since 1970."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at * 1e6) % 1_000_000:06d}Z"
    head = {"at": stamp, "level": level.lower(), "logger": logger, "message": message}
    return json.dumps({**head, **carried}, ensure_ascii=False, default=str)


def configure(format_: Format, logger: str | None = None) -> None:
    """Have what is logged (to one logger and those below it, or at all) written to stderr, from INFO on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if format_ == "json" else TextLines())
    chosen = logging.getLogger(logger)
    chosen.handlers = [handler]
    chosen.setLevel(logging.INFO)
    chosen.propagate = False
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
