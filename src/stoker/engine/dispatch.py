"""Waiting claims: who is armed on which lanes, and which lanes are known to be dry.

A waiter arms itself before it queries, so that a task made in between wakes it. A lane whose last claim came back short
is dry until a commit of this server puts a task there: idle runners cost no statements.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from stoker.core.duration import Micros
from stoker.core.model import Task
from stoker.core.protocol import Assignment
from stoker.engine.declared import Declared
from stoker.engine.sessions import Session

DRY_FOR: Micros = 30_000_000  # a safety poll behind the wake-ups
NO_SECRETS: Mapping[int, Declared] = MappingProxyType({})


class Terms(NamedTuple):
    """Of a claim whose leases are to be their own: how long they last, and the number of its answer."""

    lease: Micros
    number: int


class Handed(NamedTuple):
    """Tasks handed to one session, and until when its leases last. `secrets`: what tasks declare, by task.

    `rows`: the tasks themselves, if their leases are their own.
    """

    number: int
    tasks: list[Assignment]
    until: Micros
    secrets: Mapping[int, Declared] = NO_SECRETS
    rows: Sequence[Task] = ()


class Waiter:
    """One held claim. It is given an answer once, or learns that it should ask itself. `lanes`: where it stands.

    `terms`: its leases are to be their own. `unsure`: it may have been leased something of which it was not told.
    """

    def __init__(self, session: Session, want: int, terms: Terms | None = None) -> None:
        self.session = session
        self.want = want
        self.terms = terms
        self.unsure = False
        self.lanes: tuple[int, ...] = ()
        self.taken = False
        self.answer: asyncio.Future[Handed | None] = asyncio.get_running_loop().create_future()

    def give(self, answer: Handed | None) -> bool:
        """Wake the claim, with tasks or with nothing; False if it has been woken or given up."""
        if self.answer.done():
            return False
        self.answer.set_result(answer)
        return True


class Dispatcher:
    """The waiters of this server, first come first served on each lane.

    `pick` and `reserve` are also called from the store's thread, while claims come and go here: dicts are changed by
    single operations only, and copied before they are walked through.
    """

    def __init__(self) -> None:
        self._by_lane: dict[int, dict[Waiter, None]] = {}
        self._by_session: dict[int, dict[Waiter, None]] = {}
        self._dry: dict[int, Micros] = {}
        self._owed: set[int] = set()
        self.ended = False

    def arm(self, waiter: Waiter) -> None:
        """Hold a claim open. Of a session's claims only the newest asks for tasks; the others may be dead already."""
        own = self._by_session.setdefault(waiter.session.id, {})
        if waiter.terms is None:
            for older in own:
                self._dull(older)
        own[waiter] = None
        self.rearm(waiter)

    def disarm(self, waiter: Waiter) -> None:
        own = self._by_session.get(waiter.session.id, {})
        own.pop(waiter, None)
        if not own:
            self._by_session.pop(waiter.session.id, None)
        self.reserve(waiter)

    def reserve(self, waiter: Waiter) -> None:
        """Take a waiter out of its lanes while a claim for it is under way."""
        for lane in waiter.lanes:
            self._by_lane.get(lane, {}).pop(waiter, None)

    def rearm(self, waiter: Waiter) -> None:
        """Put a waiter into the lanes of its session, unless it has its answer."""
        self.reserve(waiter)
        if waiter.want and not waiter.answer.done():
            waiter.lanes = waiter.session.lanes
            for lane in waiter.lanes:
                self._by_lane.setdefault(lane, {})[waiter] = None

    def _dull(self, waiter: Waiter) -> None:
        """Have a waiter wait for news alone."""
        waiter.want = 0
        self.reserve(waiter)

    def pick(self, lanes: Mapping[int, int]) -> list[Waiter]:
        """Enough waiters for so many new tasks on these lanes."""
        picked: dict[Waiter, None] = {}
        for lane, tasks in lanes.items():
            left = tasks
            for waiter in list(self._by_lane.get(lane, {})):
                if left <= 0:
                    break
                if not waiter.answer.done():  # else its call is about to end, and takes nothing any more
                    left -= waiter.want
                    picked[waiter] = None
        for waiter in picked:
            self.reserve(waiter)
        return list(picked)

    def waited_for(self) -> list[int]:
        """The lanes in which somebody waits."""
        return [lane for lane, waiters in self._by_lane.items() if waiters]

    def wet(self, lanes: Iterable[int]) -> None:
        for lane in lanes:
            self._dry.pop(lane, None)

    def dry(self, lanes: Iterable[int], now: Micros) -> None:
        for lane in lanes:
            self._dry[lane] = now

    def worth_asking(self, lanes: Iterable[int], now: Micros) -> bool:
        return any(now - self._dry.get(lane, -DRY_FOR) >= DRY_FOR for lane in lanes)

    def nudge(self, session: int) -> None:
        """Have a session's held claim, or its next one, ask again, because it must learn of something."""
        self._owed.add(session)
        for waiter in list(self._by_session.get(session, {})):
            waiter.give(None)

    def retire(self, session: int) -> None:
        """Give a session no tasks through the claims it holds open now, and end them: who lives claims again."""
        for waiter in list(self._by_session.get(session, {})):
            self._dull(waiter)
            waiter.give(None)

    def owes(self, session: int) -> bool:
        """Whether a session has something to learn since it last asked."""
        return session in self._owed

    def settle(self, session: int) -> None:
        self._owed.discard(session)

    def end_all(self) -> None:
        """The server stops: end every held claim with an empty answer."""
        self.ended = True
        for waiters in list(self._by_session.values()):
            for waiter in list(waiters):
                waiter.give(None)
