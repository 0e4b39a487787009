"""An output as HEAT has it, and as the engine keeps it: an item that runners of every protocol can read, and beside it
what only HEAT knows.
"""

from __future__ import annotations

from typing import Any

import msgspec

from stoker.core.values import too_deep


class Stored(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where the bytes of an output lie. `configuration`: its text, where the item is another one."""

    source: int
    path: str = ""
    configuration: str | None = None


def item(configuration: str, identifier: str, source: str, path: str) -> bytes:
    """The configuration as an object, with what says where the bytes are, if there are any, under the identifier."""
    value = _decoded(configuration)
    if isinstance(value, dict) and not path:
        return configuration.encode()
    known = value if isinstance(value, dict) else {"value": value}
    if path:
        known = {**known, identifier: {"dataSource": source, "dataPath": path}}
    return msgspec.json.encode(known)


def about(configuration: str, item: bytes, source: int, path: str) -> str:
    """What is kept beside the item."""
    kept = None if item == configuration.encode() else configuration
    return msgspec.json.encode(Stored(source=source, path=path, configuration=kept)).decode()


def read(about: str) -> Stored | None:
    """None: the output was given by somebody who does not speak HEAT."""
    try:
        return msgspec.json.decode(about, type=Stored) if about else None
    except msgspec.DecodeError:
        return None


def _decoded(configuration: str) -> Any:
    """What the text says as JSON; itself if it is none that every reader takes."""
    content = configuration.encode()
    try:
        return configuration if too_deep(content) else msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError):
        return configuration
