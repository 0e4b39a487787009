"""Request bodies: an empty one is `{}`, whatever its content type says; half surrogate pairs are mended."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from stoker.api import body

_ESCAPE = re.compile(
    rb"\\(?:(?P<pair>u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


def decode(content: bytes, decoder: msgspec.json.Decoder[Any]) -> Any:
    """The value of a body. Invalid, naming the place, where it is none, or not of the type that is wanted."""
    return body.decode(mended(content) if content.strip() else b"{}", decoder)


def mended(content: bytes) -> bytes:
    """The same JSON with U+FFFD for each half of a surrogate pair, which no decoder takes."""
    if b"\\ud" not in content and b"\\uD" not in content:
        return content
    return _ESCAPE.sub(lambda found: rb"\ufffd" if found["half"] else found[0], content)
