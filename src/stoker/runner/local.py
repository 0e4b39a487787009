"""A task context for code that runs here, in the caller's own thread, for somebody to watch; no server hears of it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from stoker.authoring.task import Task
from stoker.core.views import TaskView
from stoker.errors import Conflict, Problem

SECRET = "STOKER_REPLAY_SECRET_"  # noqa: S105  the prefix of variables of the environment, no secret

Say = Callable[[str], None]


def said(text: str) -> None:
    """Show a line to the person in front of the terminal; stdout is the code's own."""
    print(text, file=sys.stderr, flush=True)


def _unknown(value: Any) -> list[bytes]:
    raise AssertionError(f"{value!r} was given before the code began")


class LocalTask(Task):
    """One attempt, run again. What it says goes to `say`; `given` is what it gave as outputs, as JSON."""

    def __init__(self, view: TaskView, attempt: int, secrets: Mapping[str, str], say: Say = said) -> None:
        self.id = view.id
        self.run = view.run
        self.attempt = attempt
        self.node = view.node
        self.branch = view.branch
        self.dump: Callable[[Any], list[bytes]] = _unknown
        self.given: list[bytes] = []
        self._secrets = secrets
        self._say = say
        self._scratch: Path | None = None

    def progress(self, fraction: float | None = None, message: str = "") -> None:
        shown = "" if fraction is None else f"{min(1.0, max(0.0, float(fraction))):.0%}"
        self._say(" ".join(part for part in ("progress:", shown, message) if part))

    def log(self, text: str) -> None:
        self._say(str(text).rstrip("\n"))

    def output(self, value: Any, name: str = "") -> None:
        documents = self.dump(value)
        self.given += documents
        self._say(f"output{f' {name}' if name else ''}: {b', '.join(documents).decode()}")

    @property
    def cancelled(self) -> bool:
        return False

    @property
    def deadline(self) -> float | None:
        return None

    @property
    def secrets(self) -> Mapping[str, str]:
        return self._secrets

    @property
    def scratch(self) -> Path:
        """A folder of this attempt, removed when it is closed."""
        if self._scratch is None:
            self._scratch = Path(tempfile.mkdtemp(prefix=f"stoker-{self.id}-{self.attempt}-"))
        return self._scratch

    def close(self) -> None:
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)


def secrets_of(names: Iterable[str], kind: str, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The secrets of a kind, from the environment of this process alone. Conflict names all that are missing."""
    variables = {name: SECRET + re.sub(r"\W", "_", name).upper() for name in names}
    missing = {name: variable for name, variable in variables.items() if variable not in environ}
    if missing:
        raise Conflict(
            f"the kind {kind!r} declares secrets, which are taken from this environment only, and some are not there",
            code="no_secrets",
            problems=[
                Problem(code="no_secret", place=name, message="it is not set.", remedy=f"Set {variable}.")
                for name, variable in missing.items()
            ],
        )
    return {name: environ[variable] for name, variable in variables.items()}


class Content(NamedTuple):
    """What is in a file, wherever it lies."""

    name: str
    size: int
    sha256: str


class LocalFiles:
    """Artifacts are fetched to be read; files that the code gives stay where they are, under numbers below zero."""

    def __init__(self, fetch: Callable[[int], Path]) -> None:
        self.fetch = fetch
        self.kept: dict[int, Content] = {}

    def store(self, path: Path, name: str, media_type: str) -> int:
        with Path(path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        number = -1 - len(self.kept)
        self.kept[number] = Content(name, Path(path).stat().st_size, digest)
        return number
