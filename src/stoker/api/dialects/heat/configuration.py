"""Platform configuration: flat entries with dotted names, shown as nested JSON; names that would shadow each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from stoker.api.dialects.heat.enums import ValueType

RESERVED = ("all", "detail")
"""First segments that mean something else in a path."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is kept of an entry beside its name."""

    value_type: int = 0
    value: str | None = ""
    description: str | None = None


def name_fault(name: str) -> str | None:
    """What is wrong with a name, beyond what names must be anyhow."""
    first = name.partition(".")[0]
    return (
        f"names under {first!r} cannot be read, since a path of that name is another call"
        if first in RESERVED
        else None
    )


def clash(name: str, names: Iterable[str]) -> str | None:
    """An entry that would lie inside of this one, or the other way round."""
    for other in names:
        if other.startswith(name + ".") or name.startswith(other + "."):
            return other
    return None


def below(entries: Mapping[str, Entry], prefix: str) -> dict[str, Any] | None:
    """What lies under a prefix, nested, values decoded; None if nothing does."""
    if prefix in entries:
        return {"value": decoded(entries[prefix])}
    start = prefix + "."
    inner = {name[len(start) :]: entry for name, entry in entries.items() if name.startswith(start)}
    return nested(inner) if inner else None


def nested(entries: Mapping[str, Entry]) -> dict[str, Any]:
    """All entries, nested by the dots of their names."""
    tree: dict[str, Any] = {}
    for name, entry in entries.items():
        *way, last = name.split(".")
        place = tree
        for segment in way:
            place = place.setdefault(segment, {})
        place[last] = decoded(entry)
    return tree


def decoded(entry: Entry) -> Any:
    """The value as its type says; as text if it does not parse."""
    if entry.value is None:
        return None
    try:
        return _DECODE.get(entry.value_type, str)(entry.value)
    except (ValueError, msgspec.MsgspecError, RecursionError):
        return entry.value


def _boolean(text: str) -> bool:
    if (word := text.strip().lower()) not in ("true", "false"):
        raise ValueError(text)
    return word == "true"


_DECODE: dict[int, Callable[[str], Any]] = {
    ValueType.Integer: msgspec.json.Decoder(int).decode,
    ValueType.Number: msgspec.json.Decoder(int | float).decode,
    ValueType.Boolean: _boolean,
    ValueType.Json: msgspec.json.Decoder().decode,
}
