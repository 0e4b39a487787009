"""What the API takes and shows of forks."""

from __future__ import annotations

import msgspec


class _View(msgspec.Struct, frozen=True, kw_only=True):
    pass


class ForkEdit(_View, frozen=True, forbid_unknown_fields=True):
    """An item that the fork has otherwise: of a node right before the start, at a branch."""

    node: str
    value: msgspec.Raw
    branch: str = ""
    item: int = 0


class ForkRequest(_View, frozen=True, forbid_unknown_fields=True):
    """Start a run in the middle of one that has ended: at a node, or (`branch`) at one task of it.

    `inputs`: those that are otherwise. `edits`: items that are. `tags`: besides those of the run. `dry_run`: only say
    what would run again.
    """

    from_: str = msgspec.field(name="from")
    branch: str | None = None
    inputs: dict[str, msgspec.Raw] = {}
    edits: list[ForkEdit] = []
    tags: dict[str, str] = {}
    dry_run: bool = False


class RunsAgain(_View, frozen=True):
    """A node whose tasks are not taken over; in the old run there were so many."""

    node: str
    kind: str
    tasks: int


class ForkAnswer(_View, frozen=True):
    """`run`: the fork; None of a dry run. `taken`: tasks taken over as they were. `again`: what runs anew.

    `unaware`: nodes that have read an edited item or a changed input too, and are taken over as they were.
    """

    origin: int
    node: str
    taken: int
    branch: str | None = None
    run: int | None = None
    again: list[RunsAgain] = []
    unaware: list[str] = []
