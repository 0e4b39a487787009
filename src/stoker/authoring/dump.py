"""What a node returns, as JSON: plain values, models, dataclasses, dates, numpy scalars and arrays, files."""

from __future__ import annotations

import dataclasses
import enum
import math
import sys
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from pathlib import PurePath
from typing import Any

import msgspec

from stoker.authoring.file import File
from stoker.errors import Invalid

MAX_DEPTH = 64


class InvalidOutput(Invalid):
    """A result is not JSON, or not what the node's return hint says; `place` is where in the result."""

    code = "invalid_output"


def plain(value: Any, place: str = "$") -> Any:
    """The value as JSON-able builtins. Raises InvalidOutput naming the place of what is not JSON."""
    return _plain(value, place, 0)


def to_json(value: Any) -> bytes:
    """Encode plain builtins."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError as error:
        raise InvalidOutput(
            f"a text in the result holds a lone surrogate ({error.reason}).",
            remedy="Decode bytes with errors='replace'.",
        ) from None


def _plain(value: Any, place: str, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    kind = type(value)
    if kind is str or kind is int:
        return value
    if isinstance(value, float):
        return _number(float(value), place)
    if depth > MAX_DEPTH:
        raise InvalidOutput(f"nests deeper than {MAX_DEPTH}, or contains itself.", place=place, remedy="Flatten it.")
    if isinstance(value, Mapping):
        return {_key(key, place): _plain(item, f"{place}.{key}", depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{place}[{index}]", depth + 1) for index, item in enumerate(value)]
    return _other(value, place, depth)


def _number(value: float, place: str) -> float:
    if math.isfinite(value):
        return value
    raise InvalidOutput(f"is {value}, which JSON cannot carry.", place=place, remedy="Return None or a text instead.")


def _key(key: Any, place: str) -> str:
    if isinstance(key, enum.Enum):
        key = key.value
    if isinstance(key, str):
        return str(key)
    if isinstance(key, bool) or not isinstance(key, int):
        raise InvalidOutput(
            f"has the key {key!r} of type {type(key).__name__}.", place=place, remedy="Use texts as keys."
        )
    return str(int(key))


def _other(value: Any, place: str, depth: int) -> Any:
    match value:
        case enum.Enum():
            return _plain(value.value, place, depth + 1)
        case str() | int():
            return str(value) if isinstance(value, str) else int(value)
        case File():
            return value.to_handle()
        case datetime() | date() | time():
            return value.isoformat()
        case set() | frozenset():
            return _plain(_ordered(value), place, depth + 1)
        case bytes() | bytearray() | memoryview() | PurePath():
            raise InvalidOutput(
                f"is {type(value).__name__}, which has no JSON form.",
                place=place,
                remedy="Write a file and return stoker.File(path).",
            )
    return _plain(_unpacked(value, place), place, depth + 1)


def _ordered(values: set[Any] | frozenset[Any]) -> list[Any]:
    return sorted(values, key=lambda value: (type(value).__name__, repr(value)))


def _unpacked(value: Any, place: str) -> Any:
    """One step towards builtins, for what knows its own way there."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.asdict(value)
    if callable(dump := getattr(value, "model_dump", None)) and not isinstance(value, type):
        return dump(by_alias=True)
    for name in ("tolist", "item"):
        found: Callable[[], Any] | None = getattr(value, name, None)
        if callable(found) and not isinstance(value, type):
            return _lone(found, value, place)
    return _scalar(value, place)


def _lone(convert: Callable[[], Any], value: Any, place: str) -> Any:
    try:
        found = convert()
    except (TypeError, ValueError) as error:
        raise InvalidOutput(
            f"is {type(value).__name__}, which did not convert: {error}.", place=place, remedy="Convert it yourself."
        ) from None
    return found if type(found) is not type(value) else _scalar(value, place)


def _scalar(value: Any, place: str) -> Any:
    """Decimals, UUIDs, durations, addresses: whatever pydantic writes as a text or a number."""
    if "pydantic_core" in sys.modules or type(value).__module__ in ("decimal", "uuid", "datetime", "ipaddress"):
        from pydantic_core import PydanticSerializationError, to_jsonable_python

        try:
            return to_jsonable_python(value)
        except PydanticSerializationError:
            pass
    raise InvalidOutput(
        f"is {type(value).__module__}.{type(value).__qualname__}, which has no JSON form.",
        place=place,
        remedy="Return builtins, a pydantic model, a dataclass or a stoker.File.",
    )
