"""Hides the secrets of an attempt in what it says: every occurrence of every usual form of each value becomes `***`.

Occurrences may overlap, so they are all found first, and what they cover together is replaced. Text that comes in
pieces is held back where its end may be the beginning of a value.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from html import escape
from typing import Any
from urllib.parse import quote, quote_plus

import msgspec

from stoker.core.secret import SHORTEST

MARK = "***"
LINE = 8  # characters from which a line of a value, or the middle of its base64, is hidden by itself
_ANCHOR = 4
_CUT_AT = 2  # times the longest form: more is never held back

Span = tuple[int, int]


class Redactor:
    """The values of one attempt. `held`: by stream, what waits for what follows it."""

    def __init__(self, values: Iterable[str]) -> None:
        self._values = {value for value in values if len(value) >= SHORTEST}
        forms = {form for value in self._values for form in _forms(value) if len(form) >= SHORTEST}
        self._forms = sorted(forms, key=len)
        self._longest = len(self._forms[-1]) if self._forms else 0
        self.held: dict[str, str] = {}

    def text(self, text: str) -> str:
        """The text without any value."""
        return _hidden(text, self._covered(text))

    def ending(self, text: str) -> str:
        """The same, of a text that may have been cut off in the middle of a value."""
        covered, at = self._covered(text), self._begun(text)
        if len(text) - at >= _ANCHOR:
            covered = _merged([*covered, (at, len(text))])
        return _hidden(text, covered)

    def piece(self, stream: str, text: str, *, last: bool) -> str:
        """What may be shown of a stream that goes on: all but the end that may be the beginning of a value."""
        text = self.held.pop(stream, "") + text
        if last:
            return self.ending(text)
        covered = self._covered(text)
        at = self._begun(text)
        at = next((start for start, end in covered if start < at < end), at)
        if len(text) - at > _CUT_AT * self._longest:
            at = len(text)
        if at < len(text):
            self.held[stream] = text[at:]
        return _hidden(text[:at], [(start, end) for start, end in covered if start < at])

    def document(self, document: bytes) -> bytes:
        """A JSON document without any value in its texts and keys; a number that is one becomes a text."""
        value = msgspec.json.decode(document)
        cleared = self._cleared(value)
        return document if cleared == value else msgspec.json.encode(cleared)

    def _cleared(self, value: Any) -> Any:
        match value:
            case str():
                return self.text(value)
            case dict():
                return {self.text(key): self._cleared(inner) for key, inner in value.items()}
            case list():
                return [self._cleared(inner) for inner in value]
            case int() | float() if str(value) in self._values:
                return MARK
            case _:
                return value

    def _covered(self, text: str) -> list[Span]:
        """Where values stand, in order, with those that touch as one."""
        found: list[Span] = []
        for form in self._forms:
            at = text.find(form)
            while at >= 0:
                found.append((at, at + len(form)))
                at = text.find(form, at + 1)
        return _merged(found)

    def _begun(self, text: str) -> int:
        """From where on the text may be the beginning of a value that goes on; its length if it is none."""
        return min((_begin(text, form) for form in self._forms), default=len(text))


def _merged(found: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, end in sorted(found):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def _hidden(text: str, covered: list[Span]) -> str:
    if not covered:
        return text
    shown, at = [], 0
    for start, end in covered:
        shown += [text[at:start], MARK]
        at = end
    return "".join([*shown, text[at:]])


def _begin(text: str, form: str) -> int:
    """Where the longest end of the text starts that the form begins with, and goes on after."""
    first = max(0, len(text) - len(form) + 1)
    at = text.find(form[:_ANCHOR], first)
    while at >= 0:
        if form.startswith(text[at:]):
            return at
        at = text.find(form[:_ANCHOR], at + 1)
    rest = range(max(first, len(text) - _ANCHOR + 1), len(text))
    return next((at for at in rest if form.startswith(text[at:])), len(text))


def _forms(value: str) -> Iterator[str]:
    """How a value may look in what a program says."""
    yield from (value, value.strip())
    yield from (line for line in map(str.strip, value.splitlines()) if len(line) >= LINE)
    yield from (repr(value)[1:-1], ascii(value)[1:-1], repr(value.encode())[2:-1], escape(value))
    for escaped in (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]):
        yield from (escaped, json.dumps(escaped)[1:-1], escaped.replace("/", "\\/"))
    for percent in (quote(value), quote(value, safe=""), quote_plus(value)):
        yield from (percent, re.sub("%[0-9A-F]{2}", lambda code: code[0].lower(), percent))
    yield from (value.encode().hex(), value.encode().hex().upper())
    for plain in {value, value.strip()}:
        yield from _base64(plain.encode())


def _base64(value: bytes) -> Iterator[str]:
    """As it is in base64, alone or in the middle of something: then up to two characters at each end differ."""
    for alphabet in (b"+/", b"-_"):
        yield from {whole := b64encode(value, alphabet).decode(), whole.rstrip("=")}
        for shift in range(3):
            coded = b64encode(bytes(shift) + value, alphabet).decode()
            core = coded[-(-8 * shift // 6) : 8 * (shift + len(value)) // 6]
            if len(core) >= LINE:
                yield core
