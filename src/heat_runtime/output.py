"""What `process` returned as a JSON value: NaN and infinities are null, NumPy and dates are converted, bytes stored.

Neither NumPy nor pandas is imported: their values are known by what they offer.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from stoker.authoring.dump import MAX_DEPTH, InvalidOutput, plain

Store = Callable[[bytes, str], Any]
"""Keeps bytes under a name; returns the JSON value that stands for them."""


def output(result: Any, store: Store) -> Any:
    """Return the item of a node. None is an empty one. Raises InvalidOutput naming the place of what is not JSON."""
    return {} if result is None else plain(_tidied(result, store, "output", 0))


def _tidied(value: Any, store: Store, name: str, depth: int) -> Any:
    """Replace what JSON has no word for, and leave the rest to `plain`, which names the place of what is wrong."""
    if depth > MAX_DEPTH:
        raise InvalidOutput(f"nests deeper than {MAX_DEPTH}, or contains itself.", place="$", remedy="Flatten it.")
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case bytes() | bytearray() | memoryview():
            return store(bytes(value), f"{name}.bin")
        case Mapping():
            return {_key(key): _tidied(item, store, str(key), depth + 1) for key, item in value.items()}
        case list() | tuple():
            return [_tidied(item, store, name, depth + 1) for item in value]
        case set() | frozenset():
            return [_tidied(item, store, name, depth + 1) for item in sorted(value, key=repr)]
    if _is_missing(value):
        return None
    unpacked = _unpacked(value)
    return value if unpacked is value else _tidied(unpacked, store, name, depth + 1)


def _key(key: Any) -> Any:
    return key.item() if type(key).__module__ == "numpy" else key


def _is_missing(value: Any) -> bool:
    """Whether it is a NaN of another sort: a decimal's, pandas' NaT (a datetime not equal to itself) or NA."""
    match value:
        case Decimal():
            return not value.is_finite()
        case datetime():
            return bool(value != value)
        case _:
            return type(value).__name__ == "NAType"


def _unpacked(value: Any) -> Any:
    """One step towards builtins, for what may hold a NaN; anything else as it is."""
    if isinstance(value, type):
        return value
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if callable(dump := getattr(value, "model_dump", None)):
        return dump(by_alias=True)
    for name in ("tolist", "item"):
        if callable(found := getattr(_in_micros(value), name, None)):
            return found()
    return value


def _in_micros(value: Any) -> Any:
    """NumPy's times in microseconds, of which it makes dates; of nanoseconds it makes plain integers."""
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if type(value).__module__ != "numpy" or kind not in ("m", "M"):
        return value
    return value.astype("datetime64[us]" if kind == "M" else "timedelta64[us]")
