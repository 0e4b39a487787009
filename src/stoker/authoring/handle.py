"""Handles: what calling a node inside a graph gives. They stand for values that do not exist yet.

So all one can do with them is pass them on, or name a part: `h["key"]`, `h[0]`. Anything else is refused on the line
where it is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Never

from stoker.authoring.misuse import NoAttribute, misuse
from stoker.authoring.program import Elem, Input, Out, Stored


class Handle:
    """The output of a call, an element, or an input of the graph."""

    __slots__ = ("_label", "_term", "_trace")
    __hash__ = None  # type: ignore[assignment]  # a handle is compared with nothing

    def __init__(self, term: Out | Elem | Input | Stored, label: str, trace: object) -> None:
        self._term = term
        self._label = label
        self._trace = trace

    def __getitem__(self, key: str | int) -> Handle:
        if not isinstance(key, str | int) or isinstance(key, bool) or (isinstance(key, int) and key < 0):
            raise misuse(
                f"{key!r} cannot be taken from {self._label}: a part is a text key or an index from 0.",
                "Take it apart inside a node.",
            )
        return Handle(replace(self._term, path=(*self._term.path, key)), f"{self._label}[{key!r}]", self._trace)

    def __repr__(self) -> str:
        return f"<handle of {self._label}>"

    def __getattr__(self, name: str) -> Never:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        error = misuse(
            f"{self._label} is not computed yet; it has no attribute {name!r}.",
            f'For a part of the output write handle["{name}"]; for anything else, compute it inside a node.',
        )
        raise NoAttribute(error.message, place=error.place, remedy=error.remedy)

    def __iter__(self) -> Iterator[Any]:
        raise misuse(
            f"{self._label} is not computed yet; it cannot be iterated or unpacked.",
            "Map a node over it: node.map(x=stoker.each(handle)).",
        )

    def __bool__(self) -> bool:
        raise misuse(
            f"{self._label} is not computed yet; it cannot decide an `if`, `while`, `and`, `or` or `not`.",
            "Decide inside a node, which may raise stoker.Prune to end this branch.",
        )


def _refusing(what: str) -> Any:
    remedy = "Do this inside a node."
    if what == "formatted":
        remedy = 'Write stoker.text("s3://", handle, "/x"), or do this inside a node.'

    def refuse(self: Handle, *_: object) -> Never:
        raise misuse(f"{self._label} is not computed yet; it cannot be {what}.", remedy)

    return refuse


_TWO_SIDED = ("add", "sub", "mul", "truediv", "floordiv", "mod", "divmod", "pow", "matmul", "and", "or", "xor")
_ARITHMETIC = (
    *(f"__{side}{name}__" for name in _TWO_SIDED for side in ("", "r")),
    *("__neg__", "__pos__", "__abs__", "__invert__", "__round__", "__lshift__", "__rshift__"),
)
_REFUSED = {
    "formatted": ("__format__", "__str__", "__bytes__"),
    "compared": ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"),
    "calculated with": _ARITHMETIC,
    "converted to a number": ("__int__", "__float__", "__complex__", "__index__"),
    "measured or searched": ("__len__", "__contains__", "__reversed__"),
    "called": ("__call__",),
    "awaited": ("__await__",),
    "entered": ("__enter__", "__exit__", "__aenter__", "__aexit__", "__aiter__"),
    "changed": ("__setitem__", "__delitem__"),
}
for _what, _names in _REFUSED.items():
    for _name in _names:
        setattr(Handle, _name, _refusing(_what))


class Spared:
    """`optional(handle)`: what is bound where the handle has no value."""

    __slots__ = ("default", "handle")

    def __init__(self, handle: Handle, default: Any) -> None:
        self.handle = handle
        self.default = default

    def __repr__(self) -> str:
        return f"optional({self.handle!r})"


class Words:
    """`text(...)`: parts of a text."""

    __slots__ = ("parts",)

    def __init__(self, parts: tuple[Any, ...]) -> None:
        self.parts = parts

    def __repr__(self) -> str:
        return f"text({', '.join(map(repr, self.parts))})"


class Several:
    """`each(source)`: map over the elements of a list."""

    __slots__ = ("source",)

    def __init__(self, source: Handle | Sequence[Any]) -> None:
        self.source = source

    def __repr__(self) -> str:
        return f"each({self.source!r})"

    def __iter__(self) -> Iterator[Any]:
        raise misuse("each(...) cannot be iterated.", "Pass it to .map: node.map(x=stoker.each(handle)).")


def each(source: Any) -> Any:
    """Go over the elements of a list, a handle or an input of the graph: `node.map(x=stoker.each(source))`."""
    if isinstance(source, Handle | list | tuple):
        return Several(source)
    raise misuse(
        f"each() goes over a list, a handle or an input of the graph, not over {type(source).__name__}.",
        "Write list(...) around it.",
    )
