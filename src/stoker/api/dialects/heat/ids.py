"""Integer ids of tasks and nodes, made of the engine's own: nothing is stored for them.

An attempt is `2**31 + task * 1024 + attempt`: debug mode invents ids below that. A node is `run * 8192 + index + 1`.
"""

from __future__ import annotations

from typing import NamedTuple

from stoker.api.dialects.heat.fields import MAX_INT

FIRST_TASK = 2**31
ATTEMPTS = 1024
NODES = 8192


class Attempt(NamedTuple):
    task: int
    attempt: int


class Place(NamedTuple):
    """A node of a run."""

    run: int
    node: int


def of_attempt(task: int, attempt: int) -> int:
    return FIRST_TASK + task * ATTEMPTS + attempt


def attempt_of(id_: int) -> Attempt | None:
    """None: an id that we never gave."""
    task, attempt = divmod(id_ - FIRST_TASK, ATTEMPTS)
    return Attempt(task, attempt) if id_ <= MAX_INT and task > 0 and attempt > 0 else None


def of_node(run: int, index: int) -> int:
    return run * NODES + index + 1


def place_of(id_: int) -> Place | None:
    """None: an id that we never gave."""
    run, index = divmod(id_ - 1, NODES)
    return Place(run, index) if id_ <= MAX_INT and run > 0 else None
