"""A file system for SQLite that fails on purpose: full, broken, or out of memory, at a counted operation."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import apsw

_names = itertools.count()
REAL = apsw.vfs_names()[0]


class Disk:
    """`fails(operation, error, after)`: the operation (write, sync) raises from the `after`-th on, until healed."""

    def __init__(self) -> None:
        self.operation = ""
        self.error: type[apsw.Error] = apsw.IOError
        self.left = 0
        self.failed = 0

    @contextmanager
    def fails(self, operation: str, error: type[apsw.Error], after: int = 0) -> Iterator[None]:
        self.operation, self.error, self.left, self.failed = operation, error, after, 0
        try:
            yield
        finally:
            self.operation = ""

    def meet(self, operation: str) -> None:
        if operation != self.operation:
            return
        self.left -= 1
        if self.left < 0:
            self.failed += 1
            raise self.error("on purpose")


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        super().__init__(REAL, name, flags)
        self.disk = disk

    def xWrite(self, data: bytes, offset: int) -> None:
        self.disk.meet("write")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        self.disk.meet("sync")
        super().xSync(flags)


class FaultyVfs(apsw.VFS):
    """The default file system with a `Disk` in between; new connections use it while it lives."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.label = f"faulty{next(_names)}"
        super().__init__(self.label, REAL, makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> _File:
        return _File(self.disk, name, flags)
