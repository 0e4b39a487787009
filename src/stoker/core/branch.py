"""The branch of a task as an order-preserving byte string, so that every database sorts it alike.

A step is `ordinal, length, index`: the way in (a byte below 255), how many bytes the index has, the index big-endian.
Which producer a step belongs to is known from the compiled graph (`Compiled.steps`), not written here.
"""

from __future__ import annotations

ROOT = b""
END = b"\xff"  # above every ordinal: `prefix <= branch < prefix + END` are the branches below a prefix


def step(index: int, ordinal: int = 0) -> bytes:
    """One encoded step."""
    width = (index.bit_length() + 7) // 8 or 1
    return bytes((ordinal, width)) + index.to_bytes(width, "big")


def cut(branch: bytes, depth: int) -> bytes:
    """The first `depth` steps of a branch."""
    at = 0
    for _ in range(depth):
        at += 2 + branch[at + 1]
    return branch[:at]


def index_at(branch: bytes, position: int) -> int:
    """The index written in the step at a position, counted from 0."""
    at = len(cut(branch, position))
    return int.from_bytes(branch[at + 2 : at + 2 + branch[at + 1]], "big")


def indexes(branch: bytes) -> list[int]:
    """All indexes of a branch, from the trigger down."""
    found, at = [], 0
    while at < len(branch):
        width = branch[at + 1]
        found.append(int.from_bytes(branch[at + 2 : at + 2 + width], "big"))
        at += 2 + width
    return found


def sound(branch: bytes) -> bool:
    """Whether these bytes are whole steps, as they are written here."""
    at = 0
    while at + 2 < len(branch) and branch[at] < END[0] and 1 <= branch[at + 1] <= 8:
        at += 2 + branch[at + 1]
    return at == len(branch)
