"""JSON as bytes: picking a part, listing elements, putting parts together, without building what is not needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from stoker.core.graph import Path

NULL = b"null"
MAX_DEPTH = 64

_list = msgspec.json.Decoder(list[msgspec.Raw])
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder().encode


class BadPath(ValueError):
    """A value has nothing at this path, or not the sort of thing that was expected there."""


def encode(value: object) -> bytes:
    return _encode(value)


def pick(body: bytes, path: Path) -> bytes:
    """The JSON found at a path. BadPath says where the value ends."""
    for at, key in enumerate(path):
        body = _below(body, key, path[: at + 1])
    return body


def _below(body: bytes, key: str | int, path: Path) -> bytes:
    try:
        if isinstance(key, int):
            return bytes(_list.decode(body)[key])
        return bytes(_object.decode(body)[key])
    except (msgspec.DecodeError, KeyError, IndexError):
        raise BadPath(f"there is nothing at {show(path)}") from None


def elements(body: bytes, path: Path = ()) -> list[bytes]:
    """The elements of the list found at a path, each as JSON. BadPath if there is no list."""
    found = pick(body, path)
    try:
        return [bytes(element) for element in _list.decode(found)]
    except msgspec.DecodeError:
        raise BadPath(f"what is at {show(path)} is not a list") from None


def fields(body: bytes) -> dict[str, bytes]:
    """The fields of a JSON object; none of nothing."""
    return {name: bytes(value) for name, value in _object.decode(body).items()} if body else {}


def as_list(parts: Iterable[bytes]) -> bytes:
    return b"[" + b",".join(parts) + b"]"


def as_object(fields: Mapping[str, bytes]) -> bytes:
    return b"{" + b",".join([_encode(name) + b":" + body for name, body in fields.items()]) + b"}"


def as_text(body: bytes) -> str:
    """A JSON text as the text it is; any other value as its JSON."""
    return msgspec.json.decode(body, type=str) if body.startswith(b'"') else body.decode()


def show(path: Path) -> str:
    """A path as people write it: `$.parts[0]`."""
    return "$" + "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)


def too_deep(body: bytes, limit: int = MAX_DEPTH) -> bool:
    """Whether JSON nests deeper than the limit. Cheap: few opening brackets cannot nest deep."""
    if body.count(b"[") + body.count(b"{") <= limit:
        return False
    depth, inside, escaped = 0, False, False
    for byte in body:
        if inside:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                inside = False
        elif byte == 0x22:
            inside = True
        elif byte in (0x5B, 0x7B):
            depth += 1
            if depth > limit:
                return True
        elif byte in (0x5D, 0x7D):
            depth -= 1
    return False
