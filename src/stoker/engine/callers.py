"""Who claims without beats: a session for each, by what it says of itself, and whether it is alone with its kinds."""

from __future__ import annotations

import asyncio
from hashlib import sha256

import msgspec

from stoker.core.duration import Micros, micros
from stoker.core.own_claim import OwnClaim
from stoker.core.protocol import RunnerInfo
from stoker.engine.dispatch import Waiter
from stoker.engine.ids import Ids
from stoker.engine.ports import Clock, Reader, Store
from stoker.engine.sessions import Session, Sessions


class Callers:
    """The callers of this server. Their sessions end without consequence: each lease has an end of its own."""

    def __init__(self, store: Store, sessions: Sessions, ids: Ids, clock: Clock) -> None:
        self._store = store
        self._sessions = sessions
        self._ids = ids
        self._clock = clock
        self._introducing = asyncio.Lock()
        self._waiting: dict[Waiter, int] = {}  # what each wants that may take more as long as it is alone

    async def session(self, namespace: int, asked: OwnClaim) -> Session:
        """The session of a caller, which is one as long as it says the same of itself."""
        kinds = sorted(set(asked.kinds))
        said = msgspec.json.encode([namespace, asked.name, asked.caller, kinds])
        key = sha256(b"own " + said).digest()  # secrets of sessions are hex digits, so that none has this hash
        info = RunnerInfo(name=asked.name, kinds=kinds, capacity=max(1, asked.want))
        async with self._introducing:  # many first calls at once make one row, and know its lanes when they go on
            session = await self._sessions.caller(namespace, key, info, None)
            if session is None:
                session = await self._sessions.caller(namespace, key, info, await self._ids.one("session"))
        assert session is not None
        return session

    async def room(self, session: Session, asked: OwnClaim) -> int:
        """How many tasks a claim may take."""
        if asked.stretch <= 1 or not await self._alone(session, micros(asked.alone_for_s)):
            return asked.want
        most = asked.want * asked.stretch
        leased = await self._store.peek(lambda reader: reader.rows("own_leases", [session.id], most))
        return max(asked.want, most - len(leased))

    async def _alone(self, session: Session, alone_for: Micros) -> bool:
        """Whether nobody else was seen of late who asks for some of the same kinds, nor this one twice at once."""
        now = self._clock.now()
        if session.crowded_at is not None and session.crowded_at > now - alone_for:
            return False

        async def present(reader: Reader) -> dict[int, RunnerInfo]:
            return await self._sessions.present(reader, session.namespace, alone_for)

        there = await self._store.peek(present)
        kinds = set(session.info.kinds)
        return all(id_ == session.id or kinds.isdisjoint(info.kinds) for id_, info in there.items())

    def begin(self, waiter: Waiter, want: int) -> None:
        """A claim begins: those of others that stretch, and wait for the same kinds, are held to what they want."""
        session, kinds = waiter.session, set(waiter.session.info.kinds)
        for other, plain in list(self._waiting.items()):
            if other.session.namespace == session.namespace and not kinds.isdisjoint(other.session.info.kinds):
                other.want = min(other.want, plain)
        self._waiting[waiter] = want

    def end(self, waiter: Waiter) -> None:
        self._waiting.pop(waiter, None)
