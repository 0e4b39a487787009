"""JSON as bytes: picking a part, listing elements, putting parts together, without building what is not needed.

Texts may hold lone surrogates (`"\\ud800"`), which JSON can spell and UTF-8 cannot; Python's own decoder reads them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from stoker.core.graph import Path

NULL = b"null"
MAX_DEPTH = 64

_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair
    rb"|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|\\.",
    re.DOTALL,
)
_anything: Callable[[bytes], Any] = msgspec.json.Decoder().decode
_list = msgspec.json.Decoder(list[msgspec.Raw])
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder().encode


class BadPath(ValueError):
    """A value has nothing at this path, or not the sort of thing that was expected there."""


def encode(value: object) -> bytes:
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return _spelled(value)


def pick(body: bytes, path: Path) -> bytes:
    """The JSON found at a path. BadPath says where the value ends."""
    for at, key in enumerate(path):
        body = _below(body, key, path[: at + 1])
    return body


def _below(body: bytes, key: str | int, path: Path) -> bytes:
    try:
        if isinstance(key, int):
            return bytes(_elements(body)[key])
        return bytes(_fields(body)[key])
    except (msgspec.DecodeError, KeyError, IndexError):
        raise BadPath(f"there is nothing at {show(path)}") from None


def parsed(text: str) -> bytes:
    """The JSON that a text is. BadPath if it is none."""
    try:
        return bytes(msgspec.json.decode(text, type=msgspec.Raw))
    except (msgspec.DecodeError, UnicodeEncodeError):  # a lone surrogate
        raise BadPath(f"the text {text[:80]!r} is not JSON, and something else than a text is wanted") from None


def elements(body: bytes, path: Path = ()) -> list[bytes]:
    """The elements of the list found at a path, each as JSON. BadPath if there is no list."""
    found = pick(body, path)
    try:
        return [bytes(element) for element in _elements(found)]
    except msgspec.DecodeError:
        raise BadPath(f"what is at {show(path)} is not a list") from None


def fields(body: bytes) -> dict[str, bytes]:
    """The fields of a JSON object; none of nothing."""
    return {name: bytes(value) for name, value in _fields(body).items()} if body else {}


def _elements(body: bytes) -> list[msgspec.Raw] | list[bytes]:
    try:
        return _list.decode(body)
    except msgspec.DecodeError as fault:
        return [_spelled(element) for element in _loosely(body, list, fault)]


def _fields(body: bytes) -> dict[str, msgspec.Raw] | dict[str, bytes]:
    try:
        return _object.decode(body)
    except msgspec.DecodeError as fault:
        return {name: _spelled(value) for name, value in _loosely(body, dict, fault).items()}


def _loosely(body: bytes, wanted: type, fault: msgspec.DecodeError) -> Any:
    """The value of JSON with lone surrogates; what else is wrong with it is the fault that was found."""
    try:
        value = json.loads(body) if b"\\ud" in body.lower() else None
    except ValueError:
        value = None
    if not isinstance(value, wanted):
        raise fault
    return value


def _spelled(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def decoded(body: bytes, into: Callable[[bytes], Any] = _anything) -> Any:
    """The value of JSON, as a decoder gives it; lone surrogates in it, which hardly anything can take, are U+FFFD."""
    try:
        return into(body)
    except msgspec.DecodeError:
        if b"\\ud" not in body.lower():
            raise
        return into(mended(body))


def mended(body: bytes) -> bytes:
    """JSON with U+FFFD in place of lone surrogates."""
    return _ESCAPE.sub(lambda found: b"\\ufffd" if found["lone"] else found[0], body)


def as_list(parts: Iterable[bytes]) -> bytes:
    return b"[" + b",".join(parts) + b"]"


def as_object(fields: Mapping[str, bytes]) -> bytes:
    return b"{" + b",".join([_encode(name) + b":" + body for name, body in fields.items()]) + b"}"


def as_text(body: bytes) -> str:
    """A JSON text as the text it is; any other value as compact JSON."""
    if not body.startswith(b'"'):
        return msgspec.json.format(body, indent=-1).decode()
    try:
        return msgspec.json.decode(body, type=str)
    except msgspec.DecodeError as fault:
        return str(_loosely(body, str, fault))


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
