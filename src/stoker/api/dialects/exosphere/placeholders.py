"""Placeholders in inputs of node templates: `${{ a.outputs.b }}` and `${{ store.k }}`, found once, at the upsert."""

from __future__ import annotations

from typing import NamedTuple

STORE = "store"
_OPEN, _CLOSE = "${{", "}}"


class Output(NamedTuple):
    """A field of what another node gives."""

    identifier: str
    field: str


class Key(NamedTuple):
    """A value of the run's store."""

    key: str


Part = str | Output | Key


class BadPlaceholder(ValueError):
    """What stands in a placeholder names nothing."""


def parts(text: str) -> tuple[Part, ...]:
    """A text in its parts; without a placeholder, the text itself. BadPlaceholder says which one means nothing."""
    head, *rest = text.split(_OPEN)
    found: list[Part] = [head] if head or not rest else []
    for piece in rest:
        inner, closed, tail = piece.partition(_CLOSE)
        if not closed:
            raise BadPlaceholder(_message(piece, text) + " '${' not closed")
        found.append(_meant(inner, text))
        if tail:
            found.append(tail)
    return tuple(found)


def _meant(inner: str, text: str) -> Output | Key:
    match [part.strip() for part in inner.split(".")]:
        case [identifier, "outputs", field] if identifier and field:
            return Output(identifier, field)
        case ["store", key] if key:
            return Key(key)
        case _:
            raise BadPlaceholder(_message(inner, text))


def _message(placeholder: str, text: str) -> str:
    return f"Invalid syntax string placeholder {placeholder} for: {text}"
