"""The audit log: who did what. Acts write their rows themselves (`acting`); here is what remains, and who reads it."""

from __future__ import annotations

from typing import Any, NamedTuple

from stoker.core.audit_views import AuditOutcome, AuditView
from stoker.core.duration import SECOND, Micros
from stoker.core.views import Page
from stoker.engine import single
from stoker.engine.acting import Act
from stoker.engine.alarm import Alarm
from stoker.engine.ports import Clock, Store, Tx
from stoker.engine.refusals import Refusal, Refusals, rows
from stoker.errors import Unavailable

BETWEEN: Micros = 3_600 * SECOND  # two looks for rows that are old enough
SLICE = 1_000


class Auditing(NamedTuple):
    """`keep`: how long rows are kept; None: for ever. `triggers`: whether triggers have rows too."""

    keep: Micros | None = None
    triggers: bool = False


FOR_EVER = Auditing()


class Audit:
    """What the shells ask of the log, and the tick does."""

    def __init__(self, store: Store, clock: Clock, alarm: Alarm, how: Auditing) -> None:
        self._store = store
        self._clock = clock
        self._alarm = alarm
        self._keep = how.keep
        self._refusals = Refusals()
        self._looked_at = clock.now()
        self.triggers = how.triggers

    @property
    def now(self) -> Micros:
        return self._clock.now()

    async def list(self, *, filter: str, limit: int, after: str | None) -> Page[AuditView]:  # noqa: A002  the word of the API
        """Rows that all terms of the filter hold for, newest first."""
        from stoker.engine.audit_page import audit_page  # few ask

        return await audit_page(self._store, self._clock.now(), filter, limit, after)

    async def tell(self, act: Act, outcome: AuditOutcome = "unchanged") -> None:
        """Leave word of a call whose own transaction did not: it had nothing to change, or what it began goes on."""

        async def insert(tx: Tx) -> None:
            await tx.insert_audit([act.row([], outcome)])

        await single.transact(self._store, insert)

    def refused(self, refusal: Refusal, subject: str, request: str) -> None:
        """Count a call that was refused. Its row is written within seconds, and nobody waits for it."""
        now = self._clock.now()
        if self._refusals.count(refusal, subject, request, now) and self._refusals.ends is not None:
            self._alarm.at(self._refusals.ends)

    async def settings(self, server: str, settings: dict[str, Any]) -> None:
        """Leave word of how a server is set up, unless that stands there already. No secrets among it."""
        act = Act(token=None, verb="start_server", subject=server, at=self._clock.now(), details=settings)
        row = act.row([])

        async def insert(tx: Tx) -> None:
            if [found[0] for found in await tx.rows("last_settings", row.verb, row.subjects)] != [row.details]:
                await tx.insert_audit([row])

        await single.transact(self._store, insert)

    @property
    def next_at(self) -> Micros | None:
        """When a window of refusals ends."""
        return self._refusals.ends

    async def tick(self) -> None:
        """Write down what was refused, and remove what is old enough, each when it is time."""
        now = self._clock.now()
        if self._refusals.ends is not None and now >= self._refusals.ends:
            await self.flush()
        if self._keep is not None and now - self._looked_at >= BETWEEN:
            self._looked_at = now
            while await self._forget(now - self._keep) == SLICE:
                pass

    async def flush(self) -> None:
        """Write down what was refused so far."""
        if not (seen := self._refusals.taken()):
            return
        try:
            await single.transact(self._store, lambda tx: tx.insert_audit(rows(seen)))
        except Unavailable:
            self._refusals.put_back(seen, self._clock.now())
            raise

    async def _forget(self, before: Micros) -> int:
        return len(await single.transact(self._store, lambda tx: tx.execute("forget_audit", before, SLICE)))
