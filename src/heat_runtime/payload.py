"""What a processor gets for an input: bytes, never text; a seekable file where there are too many of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from stoker.authoring.file import File

MOST_IN_MEMORY = 64 * 1024 * 1024  # bytes

Payload = bytes | BinaryIO


def payload(path: Path, opened: ExitStack) -> Payload:
    """Read a file, or open it where it is large; `opened` closes it."""
    if path.stat().st_size <= MOST_IN_MEMORY:
        return path.read_bytes()
    return opened.enter_context(path.open("rb"))


def payloads(inputs: Mapping[str, Any], opened: ExitStack) -> dict[str, Payload]:
    """The payloads of a task's JSON inputs: an artifact's bytes, else the JSON text. A lone artifact is `file` too."""
    files = {name: file for name, value in inputs.items() if (file := _file(value)) is not None}
    found = {name: payload(files[name].path, opened) if name in files else _text(inputs[name]) for name in inputs}
    if len(files) == 1:
        found.setdefault("file", found[next(iter(files))])
    return found


def divided(inputs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The inputs and the config of a task: an input `config` that is an object (and no artifact) is the config."""
    config = inputs.get("config")
    if not isinstance(config, dict) or _file(config) is not None:
        return dict(inputs), {}
    return {name: value for name, value in inputs.items() if name != "config"}, config


def _file(value: Any) -> File | None:
    match value:
        case {"$artifact": int(artifact)} if not isinstance(artifact, bool):
            return File.of(artifact)
    return None


def _text(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
