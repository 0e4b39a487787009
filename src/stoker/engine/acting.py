"""Who is doing what: the call under way, and what of it the audit log is told in the transaction that does it.

A shell says who calls (`doing`); a verb or a transaction says what became of it (a `Note`). Nothing is written where
either is missing: what runners report, and what time does, is history and not audit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import msgspec

from stoker.core.audit_views import AuditOutcome
from stoker.core.duration import Micros
from stoker.engine.ports import AuditRow, Tx

GAP = "\x1f"  # around each subject: a character that no name has

T = TypeVar("T")


class Note(NamedTuple):
    """What a call has done: to what, and what is worth knowing. Never a secret, an input or a value."""

    subjects: Sequence[str]
    details: Mapping[str, Any] = MappingProxyType({})


class Act(msgspec.Struct, kw_only=True):
    """One call that may change something. `kept`: whether it is for the audit log; `told`: whether that has a row."""

    token: int | None
    name: str = ""
    namespace: str = ""
    verb: str = ""
    subject: str = ""
    address: str = ""
    request: str = ""
    at: Micros = 0
    details: dict[str, Any] = {}
    kept: bool = True
    told: bool = False

    def row(self, notes: Sequence[Note], outcome: AuditOutcome = "done") -> AuditRow:
        """Its row about what one transaction did. Without a note: about what the call was to be done to."""
        subjects = [subject for note in notes for subject in note.subjects] or [self.subject] * bool(self.subject)
        details = {name: value for note in notes[:1] for name, value in note.details.items()}
        return AuditRow(
            at=self.at,
            token=self.token,
            name=self.name,
            namespace=self.namespace,
            verb=self.verb,
            subjects=joined(subjects),
            number=len(subjects),
            address=self.address,
            request=self.request,
            outcome=outcome,
            code="",
            details=msgspec.json.encode({**self.details, **details}).decode(),
        )


def joined(subjects: Sequence[str]) -> str:
    return f"{GAP}{GAP.join(subjects)}{GAP}" if subjects else ""


_ACT: ContextVar[Act | None] = ContextVar("act", default=None)


@contextmanager
def doing(act: Act) -> Iterator[None]:
    """What is called inside, this act does."""
    outer = _ACT.set(act)
    try:
        yield
    finally:
        _ACT.reset(outer)


def current() -> Act | None:
    """The call under way, if the audit log is to know of it."""
    act = _ACT.get()
    return act if act is not None and act.kept else None


def token() -> int | None:
    """The token of the call under way; None if nobody calls."""
    act = _ACT.get()
    return None if act is None else act.token


def noted(act: Act, work: Callable[[Tx], Awaitable[T]], note: Callable[[T], Note]) -> Callable[[Tx], Awaitable[T]]:
    """The same work, which leaves word of itself in its own transaction."""

    @wraps(work)
    async def both(tx: Tx) -> T:
        answer = await work(tx)
        await tx.insert_audit([act.row([note(answer)])])
        return answer

    return both
