"""The bodies that runtimes send: outputs, errors, the data of a prune, the delay of a re-enqueue.

A runtime reports once, and dies of some refusals. So what was computed but cannot be kept (too large, too deep, NaN) is
a `Wrong` body, which becomes a failure of the attempt; only what is no such body at all is `Malformed`, answered 422.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from math import isinf
from typing import Any, NamedTuple, NoReturn

import msgspec

from stoker.api.body import MAX_DEPTH, deeper_than_allowed
from stoker.core.names import MAX_TEXT
from stoker.core.protocol import MAX_BODY

LONGEST_MS = 365 * 24 * 3600 * 1000
EMPTY_ITEM = b"{}"

_TOO_DEEP = f"JSON nested deeper than {MAX_DEPTH}"
_TOO_LARGE = f"a report may have {MAX_BODY} bytes; this one has more"
_NOT_FINITE = "it holds NaN or an infinity, which JSON has no words for"
_VAST = re.compile(rb"\d[eE]\+?0*[1-9]\d{2}|\d{309}")  # may be an infinity to who reads it
_TEXT = re.compile(r'"error"\s*:\s*"((?:[^"\\]|\\.)*)', re.DOTALL)


class Sent(NamedTuple):
    """A body as it came. `whole`: False: it was over the limit, and this is its beginning."""

    body: bytes
    whole: bool = True


class Wrong(Exception):
    """What was reported cannot be kept; the text says why."""


class Malformed(Exception):
    """The request is none of this route. `entries`: what is wrong, as the 422 answer lists it."""

    def __init__(self, entries: list[dict[str, Any]]) -> None:
        super().__init__(entries)
        self.entries = entries


class _Executed(msgspec.Struct):
    outputs: list[msgspec.Raw]


class _Pruned(msgspec.Struct):
    data: msgspec.Raw


_executed = msgspec.json.Decoder(_Executed)
_pruned = msgspec.json.Decoder(_Pruned)


def outputs(sent: Sent) -> list[bytes]:
    """The items of a task: no output is one empty item, so that what follows goes on."""
    _check(sent)
    try:
        sent.body.decode()  # what is not looked into is not checked for it
        found = [bytes(output) for output in _executed.decode(sent.body).outputs]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        found = [_dumped(output) for output in _field(_finite(sent.body), "outputs", list)]
    for index, output in enumerate(found):
        _object(output, "outputs", index)
    return found or [EMPTY_ITEM]


def data(sent: Sent) -> bytes:
    """What a prune was given, as JSON."""
    _check(sent)
    try:
        sent.body.decode()
        found = bytes(_pruned.decode(sent.body).data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        found = _dumped(_field(_finite(sent.body), "data", dict))
    _object(found, "data")
    return found


def error(sent: Sent) -> str:
    """What went wrong, of any body that says it: of one over a limit, only the beginning is looked at."""
    try:
        text: str = _field(_parsed(sent.body), "error", str)
    except Wrong:
        return _beginning(sent.body[:MAX_TEXT])
    except Malformed:
        if sent.whole:
            raise
        return _beginning(sent.body[:MAX_TEXT])
    return text


def delay_ms(sent: Sent) -> int:
    """After how many milliseconds a state is due again, from 1: a client sends 0 for less than one."""
    try:
        ms: int = _field(_parsed(sent.body), "enqueue_after", int)
    except Wrong as fault:
        raise _no_json(0, str(fault)) from None
    if ms < 0:
        what = "Input should be greater than or equal to 0"
        raise _entry("greater_than_equal", ("enqueue_after",), what, ms, {"ge": 0})
    return min(max(ms, 1), LONGEST_MS)


def _check(sent: Sent) -> None:
    if not sent.whole:
        raise Wrong(_TOO_LARGE)
    if deeper_than_allowed(sent.body):
        raise Wrong(_TOO_DEEP)
    if _VAST.search(sent.body):
        _finite(sent.body)


def _finite(body: bytes) -> Any:
    """The value of a body without NaN and infinities. It may hold lone surrogates, which Python writes."""
    return _parsed(body, parse_constant=_not_finite, parse_float=_float)


def _parsed(body: bytes, **hooks: Any) -> Any:
    try:
        return json.loads(body, parse_int=_int, **hooks)
    except RecursionError:
        raise Wrong(_TOO_DEEP) from None
    except json.JSONDecodeError as fault:
        raise _no_json(fault.pos, fault.msg) from None
    except UnicodeDecodeError as fault:
        raise _no_json(fault.start, "it is not UTF-8") from None


def _not_finite(_: str) -> NoReturn:
    raise Wrong(_NOT_FINITE)


def _float(text: str) -> float:
    value = float(text)
    if isinf(value):
        _not_finite(text)
    return value


def _int(text: str) -> int:
    try:
        return int(text)
    except ValueError:  # Python reads no more than some thousand digits
        raise Wrong(f"it holds a number of {len(text)} digits") from None


def _dumped(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _object(json_text: bytes, *place: str | int) -> None:
    if not json_text.startswith(b"{"):
        raise _entry("dict_type", place, "Input should be a valid dictionary", json.loads(json_text))


_TYPES = {
    list: ("list_type", "Input should be a valid list"),
    dict: ("dict_type", "Input should be a valid dictionary"),
    str: ("string_type", "Input should be a valid string"),
    int: ("int_type", "Input should be a valid integer"),
}
_UNPARSED = ("int_parsing", "Input should be a valid integer, unable to parse string as an integer")


def _field(value: Any, name: str, wanted: type) -> Any:
    """One field of a body. Malformed, as the entry that a client knows, if it is not there or of another type."""
    if not isinstance(value, dict):
        what = "Input should be a valid dictionary or object to extract fields from"
        raise _entry("model_attributes_type", (), what, value)
    if name not in value:
        raise _entry("missing", (name,), "Field required", value)
    given = value[name]
    found = _whole(given) if wanted is int else given
    if isinstance(found, wanted) and not isinstance(found, bool):
        return found
    sort, what = _UNPARSED if wanted is int and isinstance(given, str) else _TYPES[wanted]
    raise _entry(sort, (name,), what, given)


def _whole(value: Any) -> Any:
    """A whole number, however it is written."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d{1,18}\s*", value, re.ASCII):
        return int(value)
    return value


def _beginning(body: bytes) -> str:
    """The error that a body begins with, as far as it goes."""
    found = _TEXT.search(body.decode("utf-8", "replace"))
    return "".join(_unescaped(found[1])) if found else "the report of an error was over the limit"


def _unescaped(text: str) -> Iterator[str]:
    for part in re.split(r"(\\u[0-9a-fA-F]{4}|\\.)", text, flags=re.DOTALL):
        try:
            yield json.loads(f'"{part}"', strict=False) if part.startswith("\\") else part
        except ValueError:
            yield part


def _no_json(position: int, why: str) -> Malformed:
    return _entry("json_invalid", (position,), "JSON decode error", {}, {"error": why})


def _entry(
    sort: str, place: tuple[str | int, ...], message: str, given: Any, context: dict[str, Any] | None = None
) -> Malformed:
    shown = json.loads(json.dumps(given), parse_constant=str)  # the answer is JSON, whatever was sent
    entry = {"type": sort, "loc": ["body", *place], "msg": message, "input": shown}
    return Malformed([entry | {"ctx": context} if context is not None else entry])
