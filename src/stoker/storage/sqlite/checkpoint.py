"""Copies the write-ahead log into the database file, in a thread of its own, so that no commit waits for it.

A commit that grows the log past QUIET pages asks for a passive copy, which blocks nobody. Under a load that never lets
one finish the log would grow without end: past LOUD pages the writer itself waits for a whole copy and starts it anew.
What keeps it from that (a long reader) costs the commit nothing: it is made, and the copy is tried again LOUD pages on.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import apsw

QUIET = 1_000  # pages of 4 KiB
LOUD = 16_000

_log = logging.getLogger("stoker.storage")


class Checkpoints:
    """The checkpoint thread of one file. `connect` gives it a connection of its own."""

    def __init__(self, connect: Callable[[], apsw.Connection]) -> None:
        self._connect = connect
        self._wanted = threading.Event()
        self._closing = False
        self._loud = LOUD
        self._thread = threading.Thread(target=self._run, name="stoker-checkpoint", daemon=True)
        self._thread.start()

    def watch(self, writer: apsw.Connection) -> None:
        """Be told of every commit of this connection; it no longer copies by itself."""
        writer.set_wal_hook(self._committed)

    def close(self) -> None:
        """Return when the thread has ended; its connection is closed."""
        self._closing = True
        self._wanted.set()
        self._thread.join()

    def _committed(self, writer: apsw.Connection, _name: str, pages: int) -> int:
        if pages >= self._loud:
            self._loud = pages + LOUD
            self._start_anew(writer)
        elif pages >= QUIET:
            self._wanted.set()
        if pages < LOUD:
            self._loud = LOUD
        return apsw.SQLITE_OK

    @staticmethod
    def _start_anew(writer: apsw.Connection) -> None:
        try:
            writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
        except apsw.Error as error:  # raised from here it would make a commit that stands look undone
            _log.warning("the write-ahead log could not be started anew: %s", error)

    def _run(self) -> None:
        connection: apsw.Connection | None = None
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._closing:
                break
            try:
                connection = connection or self._connect()
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            except apsw.Error as error:  # what was committed is safe in the log; the next commit asks again
                _log.warning("the write-ahead log could not be copied into the database: %s", error)
        if connection is not None:
            connection.close()
