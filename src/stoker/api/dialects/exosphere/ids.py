"""The ids of states: `<task>-<attempt>-<mac>`, and `<task>-<attempt>-<item>-<mac>` for further items of a fan-out.

Task ids are plain integers; the MAC over what stands before it makes an id unguessable, and tells ours from others'.
A READY task shows the id of the attempt that it will have next.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import NamedTuple

Mac = Callable[[str], str]
"""The MAC of a text: 16 hex digits."""

Proves = Callable[[str, str], Awaitable[bool]]
"""Whether a MAC is that of a text, under a key of now or of before; in constant time."""

_MOST = 2**63 - 1
_SHAPE = re.compile(
    r"(?P<said>(?P<task>[1-9]\d{0,18})-(?P<attempt>[1-9]\d{0,8})(?:-(?P<item>[1-9]\d{0,8}))?)-(?P<mac>[0-9a-f]{16})",
    re.ASCII,
)


class StateId(NamedTuple):
    """An attempt of a task, or (from 1) a further item that it settled with."""

    task: int
    attempt: int
    item: int = 0


def spell(state: StateId, mac: Mac) -> str:
    """The id as it is shown."""
    said = f"{state.task}-{state.attempt}-{state.item}" if state.item else f"{state.task}-{state.attempt}"
    return f"{said}-{mac(said)}"


async def read(text: str, proves: Proves) -> StateId | None:
    """What an id means; None for one that this installation never gave out."""
    found = _SHAPE.fullmatch(text)
    if found is None or not await proves(found["said"], found["mac"]):
        return None
    state = StateId(int(found["task"]), int(found["attempt"]), int(found["item"] or 0))
    return state if state.task <= _MOST else None
