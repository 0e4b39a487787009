"""Ids that outsiders see, under keys that lie in the database: the newest signs, every one of them is believed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from stoker.core import opaque
from stoker.core.duration import SECOND, Micros
from stoker.engine import single
from stoker.engine.acting import Note
from stoker.engine.ports import Clock, Dice, Store, Tx

KNOWN_FOR: Micros = 2 * SECOND  # how long the keys are believed when a proof fails: another server may have rotated
KEY_BYTES = 32

T = TypeVar("T")


class Opaque:
    """`open` comes first: it reads the keys, or makes one."""

    def __init__(self, store: Store, clock: Clock, dice: Dice) -> None:
        self._store = store
        self._clock = clock
        self._dice = dice
        self._keys: tuple[bytes, ...] = ()
        self._read_at: Micros = 0

    async def open(self) -> None:
        await self._read()
        if not self._keys:
            await self._add(1)

    def mac(self, text: str) -> str:
        """16 hex digits that only this installation can put beside a text."""
        return opaque.mac(self._keys[0], text)

    async def proves(self, text: str, mac: str) -> bool:
        """Whether this installation put these digits beside this text."""
        return await self._found(lambda: opaque.proves(self._keys, text, mac) or None) is not None

    def uuid(self, run: int) -> str:
        """What a run is called outside."""
        return opaque.uuid_of(self._keys[0], run)

    async def run(self, uuid: str) -> int | None:
        """The run that is called so outside; whether there is one is not looked up. None: a name that we never gave."""
        return await self._found(lambda: opaque.run_of(self._keys, uuid))

    async def rotate(self) -> int:
        """Sign with a new key from now on; gives how many there are. Other servers sign with it when they start."""
        await self._read()
        await self._add(len(self._keys) + 1)
        return len(self._keys)

    async def _found(self, look: Callable[[], T | None]) -> T | None:
        found = look()
        if found is not None or self._clock.now() - self._read_at <= KNOWN_FOR:
            return found
        await self._read()
        return look()

    async def _read(self) -> None:
        rows = await self._store.read(lambda reader: reader.rows("opaque_keys"))
        self._keys, self._read_at = tuple(key for (key,) in rows), self._clock.now()

    async def _add(self, number: int) -> None:
        key, now = self._dice.token_bytes(KEY_BYTES), self._clock.now()

        async def add(tx: Tx) -> None:
            await tx.execute("put_opaque_key", number, key, now)

        await single.transact(self._store, add, lambda _: Note([f"opaque_key:{number}"]))
        await self._read()
