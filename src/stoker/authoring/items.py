"""`Items`: several outputs of one task, which fan out; a plain list is one value."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class Items(Generic[T]):
    """Return `stoker.Items([...])` from a node annotated `-> stoker.Items[T]`: what follows runs once per item."""

    __slots__ = ("values",)

    def __init__(self, values: Iterable[T]) -> None:
        self.values = list(values)

    def __repr__(self) -> str:
        return f"Items({self.values!r})"
