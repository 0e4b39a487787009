"""Small files that are written whole or not at all, for their owner alone."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from stoker.errors import Unavailable


def read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _io(path, error) from None


def create(path: Path, content: str) -> None:
    """Write a file whole unless it exists: who comes second finds the first one's."""
    _with_temporary(path, content, path.hardlink_to)


def replace(path: Path, content: str) -> None:
    _with_temporary(path, content, lambda temporary: temporary.replace(path))


def _with_temporary(path: Path, content: str, publish: Callable[[Path], Any]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                publish(temporary)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise _io(path, error) from None


def _io(path: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"{path} cannot be read or written: {error.strerror}",
        place=str(path),
        remedy="Make the folder writable, or name another with --data.",
    )
