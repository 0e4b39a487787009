"""Refused calls: counted by who, what and why, and told of in few rows, however many there are."""

from __future__ import annotations

from typing import NamedTuple

from stoker.core.duration import SECOND, Micros
from stoker.engine.acting import joined
from stoker.engine.ports import AuditRow

WINDOW: Micros = 10 * SECOND  # in which refusals that are alike become one row
MOST = 20  # rows of one window; what is refused besides is counted by its code alone


class Refusal(NamedTuple):
    """What makes refusals alike. `token` None: nobody's."""

    token: int | None
    name: str
    namespace: str
    verb: str
    address: str
    code: str


class _Seen:
    """The first of those that are alike, and how many there are."""

    def __init__(self, at: Micros, subject: str, request: str) -> None:
        self.at = at
        self.subject = subject
        self.request = request
        self.count = 0


Window = dict[Refusal, _Seen]


class Refusals:
    """Those of the window that is open. It opens with the first."""

    def __init__(self) -> None:
        self._seen: Window = {}
        self.ends: Micros | None = None

    def count(self, refusal: Refusal, subject: str, request: str, now: Micros) -> bool:
        """Count one; whether it opened a window."""
        opened = self.ends is None
        if opened:
            self.ends = now + WINDOW
        if refusal not in self._seen and len(self._seen) >= MOST:
            refusal, subject, request = Refusal(None, "", "", "", "", refusal.code), "", ""
        self._seen.setdefault(refusal, _Seen(now, subject, request)).count += 1
        return opened

    def taken(self) -> Window:
        """What was counted in the window, which is closed."""
        seen, self._seen, self.ends = self._seen, {}, None
        return seen

    def put_back(self, seen: Window, now: Micros) -> None:
        """Count them in the next window: they could not be written."""
        for refusal, found in seen.items():
            self._seen.setdefault(refusal, _Seen(found.at, found.subject, found.request)).count += found.count
        self.ends = now + WINDOW


def rows(seen: Window) -> list[AuditRow]:
    return [_row(refusal, found) for refusal, found in seen.items()]


def _row(refusal: Refusal, found: _Seen) -> AuditRow:
    return AuditRow(
        at=found.at,
        token=refusal.token,
        name=refusal.name,
        namespace=refusal.namespace,
        verb=refusal.verb,
        subjects=joined([found.subject] if found.subject else []),
        number=found.count,
        address=refusal.address,
        request=found.request,
        outcome="refused",
        code=refusal.code,
        details="{}",
    )
