"""Names, keys and tags: NFC, no control characters, at most 200 bytes; and what free text is cut to."""

from __future__ import annotations

import unicodedata

MAX_NAME = 200
MAX_TEXT = 64 * 1024


def fault(name: object) -> str | None:
    """What is wrong with a name; None if nothing is."""
    if not isinstance(name, str) or not name:
        return "a name is a text of at least one character"
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        return f"the name {name!r} holds a control character or a lone surrogate"
    if unicodedata.normalize("NFC", name) != name:
        return f"the name {name!r} is not in Unicode normal form C"
    if len(name.encode()) > MAX_NAME:
        return f"the name {name[:40]!r}… has {len(name.encode())} bytes; the limit is {MAX_NAME}"
    return None


def text(value: str) -> str:
    """Free text as it may be stored: well-formed, cut at 64 KiB."""
    return head(well_formed(value), MAX_TEXT)


def well_formed(value: str) -> str:
    """The same text; NUL and lone surrogates become U+FFFD."""
    if value.isascii() and "\0" not in value:
        return value
    return value.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def head(value: str, most: int) -> str:
    """Its first bytes of UTF-8, at most so many, never part of a character."""
    if len(value) > most // 4 and len(value.encode()) > most:
        return value.encode()[:most].decode(errors="ignore")
    return value
