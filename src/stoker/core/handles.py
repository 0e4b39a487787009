"""Handles of artifacts in JSON, `{"$artifact": 7}`, found and replaced in its bytes, however they are written.

What merely looks like one inside of a text does not count: there the quotes are escaped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

OVERLAP = 4_096  # bytes: a handle that is longer, by blanks alone, is none


def _letter(letter: str) -> str:
    number = "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in f"{ord(letter):04x}")
    return rf"(?:{re.escape(letter)}|\\u{number})"


_HANDLE = re.compile(
    ('"' + "".join(map(_letter, "$artifact")) + r'"\s*:\s*"?((?:[0-9]|\\u003[0-9]){1,60})').encode(), re.ASCII
)
_NUMBER = re.compile(rb"\\u003([0-9])")
_MOST = 2**63


def artifacts_in(body: bytes) -> Iterator[int]:
    """The ids of all artifacts that a JSON value names."""
    for found in _HANDLE.finditer(body):
        yield _id(found[1])


def renamed(body: bytes, names: Callable[[int], int]) -> bytes:
    """The same with other artifacts in place of these."""
    return _HANDLE.sub(
        lambda found: (
            body[found.start() : found.start(1)] + str(names(_id(found[1]))).encode() + body[found.end(1) : found.end()]
        ),
        body,
    )


def _id(text: bytes) -> int:
    return min(int(_NUMBER.sub(rb"\1", text)), _MOST)
