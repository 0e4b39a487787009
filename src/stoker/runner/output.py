"""Captures what user code prints and logs, per task: through contextvars, so it holds in threads and in async tasks.

While at least one runner of the process is up, `sys.stdout` and `sys.stderr` are proxies and the root logger has one
more handler. Outside of a task everything goes where it went before.
"""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar
from threading import Lock
from typing import Any, Literal, TextIO

from stoker.runner.journal import Journal

JOURNAL: ContextVar[Journal | None] = ContextVar("stoker_journal", default=None)

_lock = Lock()
_installed: list[Capture] = []


class Capture:
    """Switch capturing on; `close` switches it off with the last runner. `verbose`: also show what is captured."""

    def __init__(self, *, verbose: bool = False) -> None:
        self.verbose = verbose
        with _lock:
            _installed.append(self)
            if len(_installed) == 1:
                _install()

    def close(self) -> None:
        with _lock:
            if self in _installed:
                _installed.remove(self)
                if not _installed:
                    _uninstall()


class Proxy:
    """Stands in for a standard stream: a task's text goes to its journal, all else to the stream itself."""

    def __init__(self, stream: TextIO, name: Literal["stdout", "stderr"]) -> None:
        self.stream = stream
        self.name = name

    def write(self, text: str) -> int:
        journal = JOURNAL.get()
        if journal is None:
            return self.stream.write(text)
        journal.write(self.name, text)
        if _verbose():
            self.stream.write(journal.echoed(self.name, text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class JournalHandler(logging.Handler):
    """Gives records of user code to the journal of their task."""

    def emit(self, record: logging.LogRecord) -> None:
        journal = JOURNAL.get()
        if journal is None:
            _last_resort(self, record)
        elif not _reaches_a_proxy():
            journal.write("log", self.format(record) + "\n")
            if _verbose():
                _own_stderr().write(journal.echoed("log", self.format(record) + "\n"))


_handler = JournalHandler()
_handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
_level_before: int | None = None


def _install() -> None:
    global _level_before
    sys.stdout = Proxy(sys.stdout, "stdout")
    sys.stderr = Proxy(sys.stderr, "stderr")
    root = logging.getLogger()
    if (
        not root.handlers and root.level == logging.WARNING
    ):  # nobody configured logging: what a task says at INFO counts
        _level_before = root.level
        root.setLevel(logging.INFO)
    root.addHandler(_handler)


def _uninstall() -> None:
    global _level_before
    if isinstance(sys.stdout, Proxy):
        sys.stdout = sys.stdout.stream
    if isinstance(sys.stderr, Proxy):
        sys.stderr = sys.stderr.stream
    root = logging.getLogger()
    root.removeHandler(_handler)
    if _level_before is not None:
        root.setLevel(_level_before)
        _level_before = None


def _verbose() -> bool:
    return any(capture.verbose for capture in _installed)


def _own_stderr() -> Any:
    return sys.stderr.stream if isinstance(sys.stderr, Proxy) else sys.stderr


def _reaches_a_proxy() -> bool:
    """Whether another root handler writes to a captured stream, so that the record is in the journal already."""
    return any(isinstance(getattr(handler, "stream", None), Proxy) for handler in logging.getLogger().handlers)


def _last_resort(own: logging.Handler, record: logging.LogRecord) -> None:
    """Keep the standard library's promise that a warning is shown though nobody configured logging."""
    last = logging.lastResort
    if last is not None and record.levelno >= last.level and logging.getLogger().handlers == [own]:
        last.handle(record)
