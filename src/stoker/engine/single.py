"""A transaction of its own, outside of the batches: tried anew when another was first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from stoker.engine import acting
from stoker.engine.ports import CommitUnknown, GuardFailed, Interrupted, Store, Tx
from stoker.errors import Unavailable

T = TypeVar("T")
TRIES = 5


async def transact(
    store: Store, work: Callable[[Tx], Awaitable[T]], note: Callable[[T], acting.Note] | None = None
) -> T:
    """Run in one transaction. Unavailable if it was undone again and again, or if nobody knows what became of it.

    `note`: what the audit log is told of the answer, in the same transaction, if somebody called for it.
    """
    act = None if note is None else acting.current()
    if act is not None and note is not None:
        work = acting.noted(act, work, note)
    for left in range(TRIES - 1, -1, -1):
        try:
            answer = await store.transact(work)
            if act is not None:
                act.told = True
            return answer
        except GuardFailed as error:
            if not left:
                raise raced(error) from error
        except CommitUnknown as error:
            raise unknown(error) from error
    raise AssertionError("the last try neither returned nor raised")


def raced(error: GuardFailed) -> Unavailable:
    """What a caller is told when others were first, or the connection was lost, every time."""
    if isinstance(error, Interrupted):
        message = f"the connection to the database was lost again and again ({error}); nothing of this was written."
        return Unavailable(message, code="database", remedy="Ask again; see how the database does.")
    message = f"other writers kept changing what was to be changed ({error}); nothing of this was written."
    return Unavailable(message, code="raced", remedy="Ask again.")


def unknown(error: CommitUnknown) -> Unavailable:
    """What a caller is told when the database went away in the very moment of a commit."""
    message = f"the database went away while it committed ({error}); this was done wholly, or not at all."
    return Unavailable(message, code="unknown_outcome", remedy="Look whether it was done, or ask again.")
