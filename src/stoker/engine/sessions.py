"""Runner sessions: who is connected, what they offer, which lanes they satisfy, when their leases end."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from urllib.parse import quote

import msgspec

from stoker.core.duration import Micros
from stoker.core.graph import Requirements
from stoker.core.model import LEASE
from stoker.core.protocol import RunnerInfo
from stoker.engine.alarm import Alarm
from stoker.engine.namespaces import Namespaces
from stoker.engine.ports import Clock, Lane, Reader, Store, Tx
from stoker.errors import Invalid

FRESH: Micros = LEASE * 3 // 4  # a lease is written anew when less than this is left of it


class Session:
    """One start of a runner process, as this server knows it. `until`: what the row says. `base`: its API path."""

    def __init__(self, id_: int, namespace: int, secret: bytes, info: RunnerInfo, until: Micros, base: str) -> None:
        self.id = id_
        self.namespace = namespace
        self.secret = secret
        self.info = info
        self.until = until
        self.lanes: tuple[int, ...] = ()
        self.streams = 0
        self.number = 0
        self.base = base

    def next_number(self, now: Micros) -> int:
        """Answers are numbered by time, so that a restarted server goes on above the last one."""
        self.number = max(self.number + 1, now)
        return self.number

    def needs_writing(self, now: Micros) -> bool:
        """Whether the row must be written before a lease is promised: never promise more than the row says."""
        return not FRESH <= self.until - now <= LEASE


def digest(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


def satisfies(info: RunnerInfo, requires: Requirements) -> bool:
    """Whether a runner offers what a task requires: equal labels, resources at least as large."""
    return all(info.labels.get(key) == value for key, value in requires.labels.items()) and all(
        info.resources.get(key, 0.0) >= value for key, value in requires.resources.items()
    )


async def runner_names(reader: Reader, sessions: set[int]) -> dict[int, str]:
    """The names under which sessions introduced themselves."""
    rows = await reader.rows("session_infos", msgspec.json.encode(list(sessions)).decode()) if sessions else []
    return {id_: msgspec.json.decode(body, type=RunnerInfo).name for id_, body in rows}


class Sessions:
    """The sessions of this server, by the hash of their secret. `moved`: told of a session whose lanes changed."""

    def __init__(
        self, store: Store, clock: Clock, namespaces: Namespaces, alarm: Alarm, moved: Callable[[int], None]
    ) -> None:
        self._store = store
        self._clock = clock
        self._namespaces = namespaces
        self._alarm = alarm
        self._moved = moved
        self._known: dict[bytes, Session] = {}
        self._lanes: list[Lane] = []

    def heard(self, session: Session, until: Micros) -> None:
        """Remember, after the commit, what the row says of a session's leases; wake for their end."""
        session.until = until
        self._alarm.at(until)

    def connected(self) -> list[Session]:
        return [session for session in self._known.values() if session.streams]

    def known(self) -> set[int]:
        """The sessions that this server has heard of since it started."""
        return {session.id for session in self._known.values()}

    def forget(self, session: Session) -> None:
        self._known.pop(session.secret, None)

    async def find(self, secret: str) -> Session | None:
        """The session of a secret, if it ever introduced itself."""
        key = digest(secret)
        if key not in self._known:
            row = await self._store.read(lambda reader: reader.session(key))
            if row is None:
                return None
            info = msgspec.json.decode(row.info, type=RunnerInfo)
            session = Session(row.id, row.namespace, key, info, row.until, self._base(row.namespace))
            await self._place(session)
            self._known[key] = session
            self._moved(session.id)  # what it holds was leased before this server knew it
        return self._known[key]

    async def introduce(self, namespace: int, secret: str, info: RunnerInfo, draw_id: int | None) -> Session | None:
        """The session of a secret, made or brought up to date; None if it is new and no id was drawn for it."""
        if len(secret) != 32 or any(digit not in "0123456789abcdef" for digit in secret):
            raise Invalid(
                "a session secret is 32 hex digits (128 random bits), drawn anew at every start of a runner",
                code="bad_session",
                place="session",
            )
        session = await self.find(secret)
        if session is None:
            if draw_id is None:
                return None
            session = await self._insert(draw_id, namespace, digest(secret), info)
        elif session.info != info:
            await self._update(session, info)
        return session

    async def _insert(self, id_: int, namespace: int, key: bytes, info: RunnerInfo) -> Session:
        now = self._clock.now()
        body = msgspec.json.encode(info).decode()

        async def insert(tx: Tx) -> None:
            await tx.execute("insert_session", id_, namespace, key, body, now, now + LEASE)

        await self._store.transact(insert)
        session = Session(id_, namespace, key, info, now + LEASE, self._base(namespace))
        await self._place(session)
        self._known[key] = session
        self.heard(session, session.until)
        return session

    async def _update(self, session: Session, info: RunnerInfo) -> None:
        body = msgspec.json.encode(info).decode()

        async def update(tx: Tx) -> None:
            await tx.execute("update_session_info", body, session.id)

        await self._store.transact(update)
        session.info = info
        await self._place(session)

    def _base(self, namespace: int) -> str:
        return f"/v1/namespaces/{quote(self._namespaces.name(namespace), safe='')}"

    async def lanes_changed(self) -> None:
        """A graph brought new lanes: see anew which sessions satisfy which."""
        self._lanes = []
        for session in list(self._known.values()):
            await self._place(session)

    async def _place(self, session: Session) -> None:
        if not self._lanes:
            rows = await self._store.read(lambda reader: reader.rows("lanes"))
            self._lanes = [Lane(*row) for row in rows]
        kinds = set(session.info.kinds)
        lanes = tuple(
            lane.id
            for lane in self._lanes
            if lane.namespace == session.namespace
            and lane.kind in kinds
            and satisfies(session.info, msgspec.json.decode(lane.requires, type=Requirements))
        )
        if lanes != session.lanes:
            session.lanes = lanes
            self._moved(session.id)
