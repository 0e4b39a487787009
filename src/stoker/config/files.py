"""The two files in the data folder that clients on the same machine read: the token, and where the server is."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from stoker.config import disk
from stoker.errors import Invalid


@dataclass(frozen=True, slots=True)
class ServerFile:
    """`<data>/server.json`: the server that uses this data folder."""

    url: str
    pid: int


def data_token(data: Path) -> str:
    """The token in `<data>/token`, made (readable by its owner alone) if there is none."""
    path = data / "token"
    found = disk.read(path)
    if found is None:
        disk.create(path, _new_token() + "\n")
        found = disk.read(path)
    if not found or not found.strip():
        raise Invalid(f"{path} is empty", place=str(path), remedy="Delete it; a new one is made.")
    return found.strip()


def write_server_file(data: Path, url: str, pid: int) -> None:
    disk.replace(data / "server.json", json.dumps({"url": url, "pid": pid}) + "\n")


def remove_server_file(data: Path) -> None:
    (data / "server.json").unlink(missing_ok=True)


def read_server_file(data: Path) -> ServerFile | None:
    """The server that says it uses this folder, if its process is alive."""
    try:
        content = json.loads(disk.read(data / "server.json") or "null")
        found = ServerFile(url=str(content["url"]), pid=int(content["pid"]))
    except (TypeError, KeyError, ValueError):
        return None
    return found if _alive(found.pid) else None


def _new_token() -> str:
    import secrets

    return "stk_" + secrets.token_urlsafe(32)


def _alive(pid: int) -> bool:
    if pid <= 0:
        return False  # to `kill`, these are groups of processes
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
