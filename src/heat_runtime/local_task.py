"""The task of local mode: what user code says about it goes to the standard error."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from stoker.authoring.task import Task


class LocalTask(Task):
    """Never cancelled, never late. As a context it removes its scratch folder."""

    def __init__(self, node: str) -> None:
        self.id = self.attempt = self.run = 1
        self.node = node
        self.branch = ""
        self._scratch: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> LocalTask:
        return self

    def __exit__(self, *_: object) -> None:
        if self._scratch is not None:
            self._scratch.cleanup()

    def progress(self, fraction: float | None = None, message: str = "") -> None:
        shown = "" if fraction is None else f"{fraction:.0%} "
        print(f"progress: {shown}{message}", file=sys.stderr)

    def log(self, text: str) -> None:
        print(text, file=sys.stderr)

    def output(self, value: Any, name: str = "") -> None:
        print(f"output {name}: {value!r}" if name else f"output: {value!r}", file=sys.stderr)

    @property
    def cancelled(self) -> bool:
        return False

    @property
    def deadline(self) -> float | None:
        return None

    @property
    def secrets(self) -> dict[str, str]:
        return {}

    @property
    def scratch(self) -> Path:
        if self._scratch is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="heat-local-")
        return Path(self._scratch.name)
