"""A `psql` that is kept running: what it is told costs no process and no connection of its own."""

from __future__ import annotations

import subprocess
from typing import Any

_DONE = "-- done --"


class Psql:
    """`command`: a psql that ends at the first error. It is started when it is first told something."""

    def __init__(self, command: list[str], **started: Any) -> None:
        self._command = command
        self._started = started
        self._process: subprocess.Popen[str] | None = None

    def tell(self, statement: str) -> None:
        """Return when it is done; RuntimeError with what psql says against it."""
        self._process = self._process or self._start()
        said = self._say(self._process, f"{statement};\n\\echo {_DONE}\n")
        if said[-1:] != [_DONE]:
            self.close()
            raise RuntimeError(f"{self._command} ended at {statement!r}: {' '.join(said)}")

    def close(self) -> None:
        """End it, and with it its connection."""
        process, self._process = self._process, None
        if process is not None:
            process.communicate()

    def _start(self) -> subprocess.Popen[str]:
        ways = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.Popen(self._command, text=True, start_new_session=True, **ways, **self._started)

    @staticmethod
    def _say(process: subprocess.Popen[str], words: str) -> list[str]:
        """What it answers, up to its end or that of the words."""
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(words)
        process.stdin.flush()
        said: list[str] = []
        for line in process.stdout:
            said.append(line.strip())
            if said[-1] == _DONE:
                break
        return said
