"""`server start`: a small process that owns the listening socket and keeps one serving child alive behind it.

While there is no child, connections wait in the socket's backlog; none is refused. A dead child is started again, at
once if it had served, else after a growing delay; if none ever served, one that ended by itself has said why, and ends
the server. SIGHUP replaces the child: the new one starts when the old one has
ended, and with that released the store. SIGTERM and SIGINT end both. This module imports no more than it must: it
lives as long as the server does.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stoker.api import listener as listening
from stoker.config import remove_server_file, write_server_file
from stoker.errors import StokerError

STOP_S = 10.0  # from the signal to the end of the child, by force if need be
DELAYS_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run. `factory` and `arguments` go to the child; `environment` is added to its own.

    `insecure` only decides what may be bound. `data`: where `server.json` is kept while the server is up.
    """

    factory: str
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    host: str = "127.0.0.1"
    port: int = 5220
    path_prefix: str = ""
    insecure: bool = False
    data: str = ""
    version: str = ""


def supervise(plan: Plan, *, announce: Callable[[str], None] = print) -> int:
    """Serve until told to stop; the exit code. Invalid if the address cannot be bound. Call it in the main thread."""
    with listening.bind(plan.host, plan.port, insecure=plan.insecure) as listener, _woken_by_signals() as wakeup:
        return _Supervisor(plan, listener, wakeup, announce).run()


class _Supervisor:
    """One loop over three facts: a signal came, the child said that it is ready, the child ended."""

    def __init__(
        self, plan: Plan, listener: socket.socket, wakeup: socket.socket, announce: Callable[[str], None]
    ) -> None:
        self._plan = plan
        self._listener = listener
        self._wakeup = wakeup
        self._announce = announce
        self._url = listening.url(listener, plan.path_prefix)
        self._child: _Child | None = None
        self._served = False  # whether any child ever did
        self._failures = 0
        self._start_at: float | None = time.monotonic()
        self._kill_at: float | None = None
        self._stopping = False

    def run(self) -> int:
        try:
            while True:
                code = self._tick()
                if code is not None:
                    return code
                self._wait()
        finally:
            self._forget_server_file()
            if self._child is not None:
                self._child.kill()

    def _tick(self) -> int | None:
        """One pass over what is due; the exit code when all is over."""
        now = time.monotonic()
        if self._child is not None and (code := self._child.ended()) is not None:
            asked = self._bury(self._child, code, now)
            if not self._served and not asked and (code >= 0 or self._failures > len(DELAYS_S)):
                return code if code > 0 else 1  # what it said is the reason; one that was killed said nothing
        if self._kill_at is not None and now >= self._kill_at and self._child is not None:
            self._child.kill()
        if self._stopping and self._child is None:
            return 0
        if self._start_at is not None and now >= self._start_at:
            self._start_at = None
            self._child = _Child(self._plan, self._listener)
        return None

    def _wait(self) -> None:
        """Sleep until a signal, a word from the child, or the next due time."""
        due = [at for at in (self._start_at, self._kill_at) if at is not None]
        timeout = max(0.0, min(due) - time.monotonic()) if due else None
        child = self._child if self._child is not None and self._child.starting else None
        heard, _, _ = select.select([self._wakeup, *([child.channel] if child else [])], [], [], timeout)
        if child is not None and child.channel in heard and child.heard_ready():
            self._on_ready(child)
        if self._wakeup in heard:
            for number in self._wakeup.recv(64):
                self._on_signal(number)

    def _on_ready(self, child: _Child) -> None:
        self._failures = 0
        if not self._served:
            self._served = True
            self._write_server_file()
            where = f", data in {self._plan.data}" if self._plan.data else ""
            self._announce(f"stoker {self._plan.version} is ready on {self._url} (pid {os.getpid()}{where})")
        else:
            self._announce(f"stoker serves again on {self._url} (child {child.pid})")

    def _on_signal(self, number: int) -> None:
        match number:
            case signal.SIGTERM | signal.SIGINT:
                self._stopping = True
                self._start_at = None
                self._end_child()
            case signal.SIGHUP if self._child is not None:
                self._end_child()
            case signal.SIGHUP if not self._stopping:
                self._start_at = time.monotonic()
            case _:
                pass  # SIGCHLD: the next tick looks

    def _end_child(self) -> None:
        if self._child is not None and self._kill_at is None:
            self._child.terminate()
            self._kill_at = time.monotonic() + STOP_S

    def _bury(self, child: _Child, code: int, now: float) -> bool:
        """Whether the child ended as asked; then its successor starts at once. Else that is said, and delayed."""
        asked = self._kill_at is not None
        self._child = None
        self._kill_at = None
        child.channel.close()
        if self._stopping:
            return asked
        delay = 0.0
        if not asked and (self._served or code < 0):
            delay = 0.0 if child.ready else DELAYS_S[min(self._failures, len(DELAYS_S) - 1)]
            self._failures += 0 if child.ready else 1
            self._announce(f"stoker: the serving process ended ({_ending(code)}); starting it again in {delay:g} s")
        self._start_at = now + delay
        return asked

    def _write_server_file(self) -> None:
        if self._plan.data:
            write_server_file(Path(self._plan.data), self._url, os.getpid())

    def _forget_server_file(self) -> None:
        if self._plan.data and self._served:
            remove_server_file(Path(self._plan.data))


class _Child:
    """One serving process. It is in a process group of its own: a terminal's Ctrl-C reaches the supervisor alone."""

    def __init__(self, plan: Plan, listener: socket.socket) -> None:
        self.channel, theirs = socket.socketpair()
        self.ready = False
        self.starting = True
        fds = (listener.fileno(), theirs.fileno())
        command = [sys.executable, "-m", "stoker.api.child", *map(str, fds), plan.factory, *plan.arguments]
        with theirs:
            self._process = subprocess.Popen(
                command,
                pass_fds=fds,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **plan.environment},
                process_group=0,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def ended(self) -> int | None:
        return self._process.poll()

    def heard_ready(self) -> bool:
        """Whether the channel said so; it may also have closed, because the child is ending."""
        self.starting = False
        self.ready = bool(self.channel.recv(1))
        return self.ready

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def _woken_by_signals() -> Iterator[socket.socket]:
    """A socket on which the numbers of arriving signals can be read, so that one `select` waits for everything."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    before = {number: signal.signal(number, lambda *_: None) for number in _SIGNALS}
    previous_fd = signal.set_wakeup_fd(theirs.fileno())
    try:
        yield ours
    finally:
        signal.set_wakeup_fd(previous_fd)
        for number, handler in before.items():
            signal.signal(number, handler)
        ours.close()
        theirs.close()


def _ending(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"


def main(argv: Sequence[str]) -> int:
    """`python -m stoker.api.supervisor <plan as JSON>`: without the command line's imports."""
    import json

    given = json.loads(argv[0])
    given["arguments"] = tuple(given.get("arguments", ()))
    try:
        return supervise(Plan(**given), announce=lambda line: print(line, flush=True))
    except StokerError as error:
        print(f"stoker: {error}", file=sys.stderr, flush=True)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
