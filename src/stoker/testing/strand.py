"""Plain code that waits in virtual time: a thread that runs only while the loop's own thread stands still for it.

So at any moment one thread runs, and which one does not depend on the machine: `time.sleep` in a node lets the loop go
on, and comes back when the time has passed there.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from threading import Lock, Thread, local
from typing import Any, TypeVar

from stoker.errors import Conflict

T = TypeVar("T")

_here = local()
_idle: deque[_Strand] = deque()


class Killed(BaseException):
    """Ends code whose process was killed."""


async def aside(code: Callable[[], T]) -> T:
    """Run plain code that may `wait`. Cancelled, it ends the code with `Killed` where it waits."""
    strand = _idle.pop() if _idle else _Strand()
    context = copy_context()
    strand.begin(lambda: context.run(code))
    killed: asyncio.CancelledError | None = None
    while strand.call is not None:
        try:
            value = await strand.call()
        except asyncio.CancelledError as error:
            killed = error
            strand.go_on(error=Killed())
        except BaseException as error:  # noqa: BLE001 - it is raised where the code waits
            strand.go_on(error=error)
        else:
            strand.go_on(value)
    _idle.append(strand)
    if killed is not None:
        raise killed
    if strand.error is not None:
        raise strand.error
    result: T = strand.value
    return result


def wait(call: Callable[[], Awaitable[T]]) -> T:
    """Called by code that runs aside: await something in the loop. Conflict in any other code."""
    strand: _Strand | None = getattr(_here, "strand", None)
    if strand is None:
        raise Conflict(
            "in a simulation the loop cannot wait for a file.",
            code="would_block",
            remedy="In an async node, open files in a thread: `await asyncio.to_thread(file.read_text)`.",
        )
    return strand.wait(call)


def is_aside() -> bool:
    """Whether the code that asks runs aside."""
    return getattr(_here, "strand", None) is not None


class _Strand:
    """`call`: what the code waits for; None: it has ended, with `value` or `error`."""

    def __init__(self) -> None:
        self.call: Callable[[], Awaitable[Any]] | None = None
        self.value: Any = None
        self.error: BaseException | None = None
        self._code: Callable[[], Any]
        self._mine, self._theirs = Lock(), Lock()  # each held, and released to let that side run
        self._mine.acquire()
        self._theirs.acquire()
        Thread(target=self._run, name="stoker-strand", daemon=True).start()

    # in the loop's thread

    def begin(self, code: Callable[[], Any]) -> None:
        self._code = code
        self.go_on()

    def go_on(self, value: Any = None, error: BaseException | None = None) -> None:
        """Let the code run, until it waits or ends."""
        self.value, self.error = value, error
        self._mine.release()
        self._theirs.acquire()

    # in its own

    def _run(self) -> None:
        _here.strand = self
        while True:
            self._mine.acquire()
            try:
                value, error = self._code(), None
            except BaseException as raised:  # noqa: BLE001 - it is raised where the code was called
                value, error = None, raised
            self.call, self.value, self.error = None, value, error
            del value, error
            self._theirs.release()

    def wait(self, call: Callable[[], Awaitable[T]]) -> T:
        self.call = call
        self._theirs.release()
        self._mine.acquire()
        if self.error is not None:
            raise self.error
        result: T = self.value
        return result
