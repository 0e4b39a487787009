"""What the API shows of manifests: whether a run is what its rows and files say, and where two runs part."""

from __future__ import annotations

from typing import Literal

import msgspec

Why = Literal["code", "inputs", "parents", "failure", "nondeterminism"]


class _View(msgspec.Struct, frozen=True, kw_only=True):
    pass


class VerifyAnswer(_View, frozen=True):
    """`fault`: the first thing that does not fit, at `place`; empty: all does. `hash`: of the end of the manifest."""

    fits: bool
    tasks: int
    items: int
    files: int
    hash: str = ""
    place: str = ""
    fault: str = ""


class Side(_View, frozen=True):
    """One of two tasks that part. `input`, `items`: digests of what they were given and gave."""

    task: int
    state: str
    attempt: int
    code: str = ""
    message: str = ""
    input: str = ""
    items: list[str] = []


class Parting(_View, frozen=True):
    """Where two runs differ. A side that is None has no task there."""

    node: str
    branch: str
    why: Why
    left: Side | None = None
    right: Side | None = None


class DiffAnswer(_View, frozen=True):
    """`first`: the first difference that none before it explains, in the order of the graph. `inputs`: inputs and keys
    of the store that differ. `graphs`: whether both are of one version of one graph. `parted`: how many tasks, by why.
    """

    left: int
    right: int
    same: bool
    graphs: bool
    inputs: list[str] = []
    tasks: int = 0
    parted: dict[str, int] = {}
    first: Parting | None = None
