"""What there is to do of each kind, and when somebody who does it was seen last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from stoker.core.duration import Micros
from stoker.core.protocol import RunnerInfo
from stoker.engine.namespaces import Namespaces
from stoker.engine.ports import Clock, Reader, Row, Store
from stoker.engine.sessions import Sessions


class Wanted(NamedTuple):
    """`ready`, `leased`: how many tasks of a kind may be claimed now, and are being run.

    `seen_at`: when somebody was last there who runs it; None: not of late.
    """

    ready: int = 0
    leased: int = 0
    seen_at: Micros | None = None


class Demand:
    """Looks at lanes and sessions."""

    def __init__(self, store: Store, namespaces: Namespaces, sessions: Sessions, clock: Clock) -> None:
        self._store = store
        self._namespaces = namespaces
        self._sessions = sessions
        self._clock = clock

    async def kinds(self, namespace: str) -> dict[str, Wanted]:
        """The kinds of a namespace of which there is anything to say, by name."""
        number = await self._namespaces.existing(namespace)

        async def find(reader: Reader) -> dict[str, Wanted]:
            ready = _by_kind(await reader.rows("ready_kinds", number))
            leased = _by_kind(await reader.rows("leased_kinds", number))
            seen = await self._seen(reader, number)
            return {
                kind: Wanted(ready.get(kind, 0), leased.get(kind, 0), seen.get(kind))
                for kind in ready.keys() | leased.keys() | seen.keys()
            }

        return await self._store.read(find)

    async def _seen(self, reader: Reader, namespace: int) -> dict[str, Micros]:
        """When a runner of each kind was seen last: now, if one is there."""
        now = self._clock.now()
        found: dict[str, Micros] = {}
        for _, body, started, until, _ in await reader.rows("sessions", namespace):
            for kind in msgspec.json.decode(body, type=RunnerInfo).kinds:
                found[kind] = max(found.get(kind, 0), started, min(until, now))
        for info in (await self._sessions.present(reader, namespace)).values():
            found.update(dict.fromkeys(info.kinds, now))
        return found


def _by_kind(rows: Sequence[Row]) -> dict[str, int]:
    return {row[0]: row[1] for row in rows}
