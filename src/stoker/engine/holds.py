"""What keeps others from something for a while, whoever they are; it ends by itself if its holder does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from stoker.core.duration import SECOND, Micros
from stoker.engine import single
from stoker.engine.ports import Clock, Dice, Store, Tx
from stoker.errors import Conflict, Unavailable

HOLDS: Micros = 120 * SECOND  # without being gone on with

COLLECT, BACKUP, COLLECTED = "collect", "backup", "collected"


async def held(tx: Tx, name: str, now: Micros) -> bool:
    """Whether somebody holds it; if not, nobody begins to before this transaction has ended."""
    return any(until > now for (until,) in await tx.execute("look_hold", name))


class Hold:
    """Something that is held. `go_on` is to be called again and again; `check` within a transaction is it too."""

    def __init__(self, store: Store, clock: Clock, name: str, holder: str) -> None:
        self._store = store
        self._clock = clock
        self._name = name
        self._holder = holder

    async def go_on(self) -> None:
        """Unavailable if it was lost."""

        async def check(tx: Tx) -> None:
            await self.check(tx)

        await single.transact(self._store, check)

    async def check(self, tx: Tx) -> None:
        now = self._clock.now()
        if not await tx.execute("go_on_holding", now + HOLDS, self._name, self._holder, now):
            raise Unavailable(
                f"this took a pause of more than {HOLDS // SECOND} s, and others may have gone on meanwhile.",
                code="overtaken",
                place=self._name,
                remedy="Begin again.",
            )


class Holds:
    """Takes holds."""

    def __init__(self, store: Store, clock: Clock, dice: Dice) -> None:
        self._store = store
        self._clock = clock
        self._dice = dice

    async def take(self, name: str, span: Micros = HOLDS) -> str | None:
        """Hold something for so long; gives the holder's name, None if somebody else holds it."""
        holder, now = self._dice.token_bytes(8).hex(), self._clock.now()

        async def take(tx: Tx) -> bool:
            return bool(await tx.execute("take_hold", name, holder, now + span, now))

        return holder if await single.transact(self._store, take) else None

    async def give(self, name: str, holder: str) -> None:
        async def give(tx: Tx) -> None:
            await tx.execute("end_hold", name, holder)

        await single.transact(self._store, give)

    @asynccontextmanager
    async def holding(self, name: str, refusal: Callable[[], Conflict]) -> AsyncIterator[Hold]:
        """Hold something for as long as this goes on. Raises the refusal if somebody else does."""
        holder = await self.take(name)
        if holder is None:
            raise refusal()
        try:
            yield Hold(self._store, self._clock, name, holder)
        finally:
            with suppress(Unavailable):
                await self.give(name, holder)
