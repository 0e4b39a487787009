"""What fields of a request may hold, as types: names, free text, JSON kept as text, enums. A decoder checks them.

A struct of a request declares each of its fields with one of these, `| UnsetType` where it may be left out; `given`
turns what was sent into plain values.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec
from msgspec import UNSET

from stoker.api.dialects.heat import enums
from stoker.core import names

MAX_INT = 2**53 - 1
MAX_PATH = 1024

Schema = dict[str, Any]


class Name(str):
    """NFC, no control characters, at most 200 bytes."""

    __slots__ = ()
    SCHEMA: ClassVar[Schema] = {"type": "string", "minLength": 1, "maxLength": 200}


class Free(str):
    """Text that is never refused: NUL and lone surrogates become U+FFFD, cut at 64 KiB."""

    __slots__ = ()
    SCHEMA: ClassVar[Schema] = {"type": "string"}


class JsonText(str):
    """JSON that is kept and shown as text: sent as text it is kept as it came, sent as a value it is written down."""

    __slots__ = ()
    SCHEMA: ClassVar[Schema] = {}


class Guid(str):
    """A GUID in lower case with hyphens."""

    __slots__ = ()
    SCHEMA: ClassVar[Schema] = {"type": "string", "format": "uuid"}


class Moment(str):
    """A time, as ISO-8601 in UTC with milliseconds."""

    __slots__ = ()
    SCHEMA: ClassVar[Schema] = {"type": "string", "format": "date-time"}


class StoreType(int):
    """A DataSourceType."""

    SCHEMA: ClassVar[Schema] = {"type": ["integer", "string"]}


class TemplateType(int):
    """A NodeTemplateType."""

    SCHEMA: ClassVar[Schema] = {"type": ["integer", "string"]}


class Owned(int):
    """An OwnershipType."""

    SCHEMA: ClassVar[Schema] = {"type": ["integer", "string"]}


class Key(int):
    """The id of a resource; numeric text is understood."""

    SCHEMA: ClassVar[Schema] = {"type": ["integer", "string"]}


def _name(value: object) -> Name:
    text = _text(value)
    if wrong := names.fault(text):
        raise ValueError(wrong)
    return Name(text)


def _json_text(value: object) -> JsonText:
    return JsonText(value if isinstance(value, str) else msgspec.json.encode(value).decode())


def _guid(value: object) -> Guid:
    return Guid(guid(_text(value)))


def _moment(value: object) -> Moment:
    return Moment(moment(_text(value)))


def _key(value: object) -> Key:
    match value:
        case bool():
            pass
        case int() if 0 <= value <= MAX_INT:
            return Key(value)
        case str() if value.isascii() and value.isdigit() and len(value) <= len(str(MAX_INT)):
            return Key(value)
        case _:
            pass
    raise ValueError(f"an id is an integer, not {value!r}")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"a text is needed, not {value!r}"[:200])  # noqa: TRY004  what decoders turn into a refusal
    return value


_READ: dict[Any, Callable[[object], Any]] = {
    Name: _name,
    Free: lambda value: Free(names.text(_text(value))),
    JsonText: _json_text,
    Guid: _guid,
    Moment: _moment,
    StoreType: lambda value: StoreType(enums.read(enums.DataSourceType, value)),
    TemplateType: lambda value: TemplateType(enums.read(enums.NodeTemplateType, value)),
    Owned: lambda value: Owned(enums.read(enums.OwnershipType, value)),
    Key: _key,
}


def read(kind: type, value: object) -> object:
    """What a decoder calls for the types above. ValueError where the value is not one."""
    return _READ[kind](value)


def decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind, dec_hook=read)


def plain(value: Any) -> Any:
    """A value of the types above without its type, so that it can be encoded."""
    match value:
        case str():
            return str(value)
        case bool():
            return value
        case int():
            return int(value)
        case list():
            return [plain(each) for each in value]
        case _:
            return value


def given(sent: msgspec.Struct) -> dict[str, Any]:
    """The fields that a request names, by their names in Python, as plain values."""
    fields = ((name, getattr(sent, name)) for name in sent.__struct_fields__)
    return {name: plain(value) for name, value in fields if value is not UNSET}


def guid(text: str) -> str:
    """A GUID as it is kept. ValueError if it is none."""
    try:
        if len(text) == 36:
            return str(uuid.UUID(text))
    except ValueError:
        pass
    raise ValueError(f"{text[:60]!r} is not a GUID")


def moment(text: str) -> str:
    """A time as it is kept: UTC with milliseconds. Without a zone it is taken for UTC. ValueError if it is none."""
    try:
        at = datetime.fromisoformat(text)
        return shown(at if at.tzinfo else at.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise ValueError(f"{text[:60]!r} is not a time like 2026-01-02T03:04:05.000Z") from None


def shown(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
