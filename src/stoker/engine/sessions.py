"""Runner sessions: who is connected, what they offer, which lanes they satisfy, when their leases end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from urllib.parse import quote

import msgspec

from stoker.core.duration import Micros
from stoker.core.graph import Requirements
from stoker.core.holder import BY_ATTEMPT
from stoker.core.model import LEASE
from stoker.core.protocol import RunnerInfo
from stoker.engine import single
from stoker.engine.alarm import Alarm
from stoker.engine.gates import Gates
from stoker.engine.namespaces import Namespaces
from stoker.engine.ports import Clock, Lane, Reader, SessionPut, Store, Tx
from stoker.errors import Forbidden, Invalid

BETWEEN_CLAIMS: Micros = 1_000_000  # a runner whose claim was answered so short a time ago is about to claim again
AWAY: Micros = 60_000_000  # the same for one whose leases are their own: while it works it need not ask
FRESH: Micros = LEASE * 3 // 4  # a lease is written anew when less than this is left of it
FORGOTTEN: Micros = 600_000_000  # how long after its end a session is remembered
BEATEN: Micros = LEASE * 9 // 10  # the same for a beat, so that many in a row write once


class Session:
    """One start of a runner process, as this server knows it. `until`: what the row says. `base`: its API path.

    `own`: a caller whose leases are their own, so that nothing of it ends with the session.
    """

    def __init__(
        self, id_: int, namespace: int, secret: bytes, info: RunnerInfo, until: Micros, base: str, *, own: bool = False
    ) -> None:
        self.id = id_
        self.namespace = namespace
        self.secret = secret
        self.info = info
        self.until = until
        self.lanes: tuple[int, ...] = ()
        self.streams = 0
        self.answered_at: Micros = 0
        self.closing = False  # its lease is being cut short
        self.heard = False  # by this server: what the row says was written by it
        self.number = 0
        self.base = base
        self.own = own
        self.crowded_at: Micros | None = None  # when it was last seen to ask twice at once

    @property
    def holder(self) -> int:
        """Who proves to hold what it was given."""
        return BY_ATTEMPT if self.own else self.id

    def here(self, now: Micros, away: Micros = AWAY) -> bool:
        """Whether it is connected, or about to ask again."""
        return bool(self.streams) or self.answered_at > now - (away if self.own else BETWEEN_CLAIMS)

    def next_number(self, now: Micros) -> int:
        """Answers are numbered by time, so that a restarted server goes on above the last one."""
        self.number = max(self.number + 1, now)
        return self.number

    def needs_writing(self, now: Micros) -> bool:
        """Whether the row must be written before a lease is promised: never promise more than the row says."""
        return not FRESH <= self.until - now <= LEASE


class Promises:
    """Until when leases last, as one transaction leaves it: written at its end, remembered once it is committed.

    Whoever promises a lease asks here, so that no promise is ever made of what a row does not say. `rows`: what this
    transaction has read of it; None where this server alone writes, and remembers.
    """

    def __init__(self, now: Micros, rows: dict[int, Micros] | None) -> None:
        self._now = now
        self._rows = rows
        self._puts: dict[int, SessionPut] = {}
        self.made: dict[Session, Micros] = {}

    @property
    def puts(self) -> list[SessionPut]:
        return list(self._puts.values())

    def until(self, session: Session) -> Micros:
        if session in self.made:
            return self.made[session]
        return session.until if self._rows is None else self._rows.get(session.id, 0)

    def read(self, rows: Mapping[int, Micros]) -> None:
        """Take note of what rows say; where this server remembers, they say nothing new."""
        if self._rows is not None:
            self._rows.update(rows)

    def write(self, session: Session, until: Micros) -> Micros:
        self._put(session.id, until, None)
        self.made[session] = until
        return until

    def fresh(self, session: Session, least: Micros = FRESH) -> Micros:
        """A lease of at least so much, which is written anew only if less is left."""
        until = self.until(session)
        if least <= until - self._now <= LEASE:
            return until
        return self.write(session, self._now + LEASE)

    def end(self, session: Session) -> None:
        """The session is over; should it be given anything again, its row must be written first."""
        self._put(session.id, None, self._now)
        self.made[session] = 0

    def over(self, session: int, until: Micros, *, ended: bool = False) -> bool:
        """Act on a session's end as its row tells it; False if this batch has promised more.

        Should the row say something else when this is written, the whole transaction is undone.
        """
        put = self._puts.get(session)
        if put is not None and put.until is not None and put.until > self._now:
            return False
        self._put(session, None, self._now if ended else None, expected=until)
        return True

    def _put(self, session: int, until: Micros | None, ended_at: Micros | None, expected: Micros | None = None) -> None:
        before = self._puts.get(session)
        expected = expected if before is None else before.expected
        self._puts[session] = SessionPut(session, until, ended_at, expected)


def digest(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


def satisfies(info: RunnerInfo, requires: Requirements) -> bool:
    """Whether a runner offers what a task requires: equal labels, resources at least as large."""
    return all(info.labels.get(key) == value for key, value in requires.labels.items()) and all(
        info.resources.get(key, 0.0) >= value for key, value in requires.resources.items()
    )


async def runner_names(reader: Reader, sessions: set[int]) -> dict[int, str]:
    """The names under which sessions introduced themselves."""
    rows = await reader.rows("session_infos", list(sessions)) if sessions else []
    return {id_: msgspec.json.decode(body, type=RunnerInfo).name for id_, body in rows}


class Sessions:
    """The sessions of this server, by the hash of their secret. `moved`: told of a session whose lanes changed."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        namespaces: Namespaces,
        alarm: Alarm,
        gates: Gates,
        moved: Callable[[int], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._namespaces = namespaces
        self._alarm = alarm
        self._gates = gates
        self._moved = moved
        self._known: dict[bytes, Session] = {}
        self._unheard: set[Session] = set()  # of late
        self._lanes: list[Lane] | None = None
        self._epoch = 0

    def promised(self, promises: Mapping[Session, Micros]) -> None:
        """Remember, after the commit, what the rows say of sessions' leases; wake for their end."""
        for session, until in promises.items():
            session.until, session.heard = until, True
            self._alarm.at(until)

    def connected(self, away: Micros = AWAY) -> list[Session]:
        now = self._clock.now()
        return [session for session in self._known.values() if session.here(now, away)]

    async def present(self, reader: Reader, namespace: int, away: Micros = AWAY) -> dict[int, RunnerInfo]:
        """Who is connected to any server: here as we know, elsewhere as the rows say, which are kept for a minute.

        `away`: for how long one with leases of its own counts after it has asked here.
        """
        here = {session.id: session.info for session in self.connected(away) if session.namespace == namespace}
        if not self._store.shared:
            return here
        now = self._clock.now()
        rows = await reader.rows("sessions", namespace)
        return here | {
            id_: msgspec.json.decode(body, type=RunnerInfo) for id_, body, _, until, _ in rows if until > now
        }

    async def elsewhere(self, reader: Reader, namespace: int) -> list[RunnerInfo]:
        """Who is connected to any server, in other namespaces."""
        here = [session.info for session in self.connected() if session.namespace != namespace]
        if not self._store.shared:
            return here
        others = [number for number in self._namespaces.numbers() if number != namespace]
        return [info for number in others for info in (await self.present(reader, number)).values()]

    def heard(self) -> set[int]:
        """The sessions that this server has heard of since it started."""
        return {session.id for session in self._known.values() if session.heard}

    def of(self, ids: Iterable[int]) -> dict[int, Session | None]:
        """Sessions by id; None where this server has never seen it."""
        known = {session.id: session for session in self._known.values()}
        return {id_: known.get(id_) for id_ in ids}

    def forget(self, session: Session) -> None:
        self._known.pop(session.secret, None)

    def tidy(self) -> None:
        """Forget sessions of which nothing was heard from one call of this to the next: another server ended them."""
        before = self._clock.now() - FORGOTTEN
        unheard = {
            session
            for session in self._known.values()
            if not session.streams and max(session.until, session.answered_at) < before
        }
        for session in unheard & self._unheard:
            self.forget(session)
        self._unheard = unheard

    async def find(self, secret: str) -> Session | None:
        """The session of a secret, if it ever introduced itself."""
        return await self._find(digest(secret))

    async def _find(self, key: bytes, *, own: bool = False) -> Session | None:
        if key not in self._known:
            found = await self._load(key, own=own)
            if found is None:
                return None
            if self._known.setdefault(key, found) is found:  # two calls may have looked at once
                found.number = self._clock.now()  # above every answer that another server gave it
                await self._settle_in(found)
                self._moved(found.id)  # what it holds was leased before this server knew it
        return self._known[key]

    async def _load(self, key: bytes, *, own: bool) -> Session | None:
        row = await self._store.read(lambda reader: reader.session(key))
        if row is None:
            return None
        info = msgspec.json.decode(row.info, type=RunnerInfo)
        until = 0 if row.ended_at is not None else row.until  # one that comes back is written anew
        return Session(row.id, row.namespace, key, info, until, self._base(row.namespace), own=own)

    async def _settle_in(self, session: Session) -> None:
        """Find the lanes of a session that is known already, so that no graph pushed meanwhile is missed."""
        try:
            await self._place(session)
        except BaseException:
            self.forget(session)
            raise

    async def introduce(self, namespace: int, secret: str, info: RunnerInfo, draw_id: int | None) -> Session | None:
        """The session of a secret, made or brought up to date; None if it is new and no id was drawn for it."""
        if len(secret) != 32 or any(digit not in "0123456789abcdef" for digit in secret):
            raise Invalid(
                "a session secret is 32 hex digits (128 random bits), drawn anew at every start of a runner",
                code="bad_session",
                place="session",
            )
        return await self._introduced(namespace, digest(secret), info, draw_id, own=False)

    async def caller(self, namespace: int, key: bytes, info: RunnerInfo, draw_id: int | None) -> Session | None:
        """As `introduce`, of a caller whose leases are their own. `key`: not one that a secret has for its hash."""
        return await self._introduced(namespace, key, info, draw_id, own=True)

    async def _introduced(
        self, namespace: int, key: bytes, info: RunnerInfo, draw_id: int | None, *, own: bool
    ) -> Session | None:
        session = await self._find(key, own=own)
        if session is None:
            if draw_id is None:
                return None
            session = await self._insert(draw_id, namespace, key, info, own=own)
            assert session is not None
        if session.namespace != namespace:
            raise Forbidden("this session belongs to another namespace.", code="foreign_session", place="session")
        if session.info != info:
            await self._update(session, info)
        return session

    async def _insert(self, id_: int, namespace: int, key: bytes, info: RunnerInfo, *, own: bool) -> Session | None:
        """Make the row of a session, unless another call of it has just done so."""
        now = self._clock.now()
        body = msgspec.json.encode(info).decode()

        async def insert(tx: Tx) -> None:
            await tx.execute("insert_session", id_, namespace, key, body, now, now + LEASE)

        await single.transact(self._store, insert)
        found = await self._load(key, own=own)
        if found is not None and self._known.setdefault(key, found) is found:
            self.promised({found: found.until})
            await self._settle_in(found)
        return self._known.get(key)

    async def _update(self, session: Session, info: RunnerInfo) -> None:
        body = msgspec.json.encode(info).decode()

        async def update(tx: Tx) -> None:
            await tx.execute("update_session_info", body, session.id)

        await single.transact(self._store, update)
        session.info = info
        await self._place(session)

    def _base(self, namespace: int) -> str:
        return f"/v1/namespaces/{quote(self._namespaces.name(namespace), safe='')}"

    async def lanes_changed(self) -> None:
        """A graph brought new lanes: see anew which sessions satisfy which."""
        self._lanes, self._epoch = None, self._epoch + 1
        for session in list(self._known.values()):
            await self._place(session)

    async def _place(self, session: Session) -> None:
        while self._lanes is None:
            epoch = self._epoch
            rows = await self._store.read(lambda reader: reader.rows("lanes"))
            if epoch == self._epoch:  # else a graph was pushed while we looked
                self._lanes = [Lane(*row) for row in rows]
                self._gates.learn(self._lanes)
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
