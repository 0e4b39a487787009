"""A process of the selftest and all that it starts in turn: the only ones that are ever signalled.

Each is the head of a session of its own, and stays unreaped until all of the session have ended: so long the number of
the session can become nobody else's. Its members are looked up in /proc; where there is none, the head alone is known.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

END_S = 30.0
_PROC = Path("/proc")


class Process:
    """`log`: what it and its children say."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path) -> None:
        self.log = log
        with log.open("ab") as file:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", "stoker.cli", *arguments],
                env=dict(environment),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        self.head = self._popen.pid

    @property
    def ended(self) -> bool:
        """Whether the head has ended; it is not reaped by asking."""
        if self._popen.returncode is not None:
            return True
        if sys.platform == "darwin":
            return self._popen.poll() is not None
        return os.waitid(os.P_PID, self.head, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def members(self) -> list[int]:
        """All of the session that have not ended, the head first."""
        if self._popen.returncode is not None:
            return []
        head = [] if self.ended else [self.head]
        return head + [pid for pid in _processes() if pid != self.head and _in_session(pid, self.head)]

    def send(self, number: signal.Signals, *, whole: bool = False) -> None:
        """Signal the head, or all."""
        for pid in self.members() if whole else [self.head] if not self.ended else []:
            send_to(pid, self.head, number)

    def end(self, number: signal.Signals = signal.SIGKILL) -> bool:
        """Signal it and wait for the end of all; whether that was enough. What is left after a while is killed."""
        self.send(signal.SIGCONT, whole=True)
        self.send(number, whole=number is signal.SIGKILL)
        willing = self._left_alone()
        if not willing:
            self.send(signal.SIGKILL, whole=True)
            self._left_alone()
        self._popen.wait()
        return willing

    def reaped(self) -> bool:
        """Whether all of it is over; then it is done with."""
        if not self.members():
            self._popen.wait()
        return self._popen.returncode is not None

    def _left_alone(self) -> bool:
        ends = time.monotonic() + END_S
        while self.members():
            if time.monotonic() > ends:
                return False
            time.sleep(0.01)
        return True


def send_to(pid: int, session: int, number: signal.Signals) -> None:
    """Signal a process if it is one of the session: through a handle, so that its number cannot change hands."""
    try:
        if sys.platform == "linux":
            handle = os.pidfd_open(pid)
            try:
                if os.getsid(pid) == session:
                    signal.pidfd_send_signal(handle, number)
            finally:
                os.close(handle)
        elif os.getsid(pid) == session:
            os.kill(pid, number)
    except ProcessLookupError:
        return


def _processes() -> list[int]:
    return sorted(int(path.name) for path in _PROC.glob("[0-9]*")) if _PROC.exists() else []


def _in_session(pid: int, session: int) -> bool:
    """Whether a process belongs to the session and has not ended."""
    try:
        after_name = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    state, found = after_name[0], int(after_name[3])
    return found == session and state not in "ZX"
