"""The command line as a process of its own, whose lines are read as they come."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO


class Command:
    def __init__(self, *argv: str) -> None:
        command = [sys.executable, "-m", "stoker.cli", *argv]
        self.process = subprocess.Popen(command, stdout=-1, stderr=-1, text=True)

    def until(self, words: str, *, err: bool = False) -> str:
        """The first line with these words; what was said instead if there is none."""
        stream: IO[str] | None = self.process.stderr if err else self.process.stdout
        assert stream is not None
        seen = []
        for line in stream:
            seen.append(line)
            if words in line:
                return line
        rest = self.process.stderr.read() if self.process.stderr and not err else ""
        raise AssertionError(f"never said {words!r}, but: {''.join(seen)}{rest}")

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """Signal it and wait; exit code, what was left on stdout and stderr."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        out, err = self.process.communicate()
        return self.process.returncode, out, err


@contextmanager
def started(*argv: str) -> Iterator[Command]:
    command = Command(*argv)
    try:
        yield command
    finally:
        command.end()


def finished(*argv: str) -> tuple[int, str, str]:
    """Run it to its end."""
    done = subprocess.run([sys.executable, "-m", "stoker.cli", *argv], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr
