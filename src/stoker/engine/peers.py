"""The other servers on the same database: who is alive, what they are told, what we hear of them.

There is no leader, and nothing depends on a hint: whoever misses one finds out by a slow look of its own. What commits
changed is gathered for a moment and told at once, and only if somebody is there to hear it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from stoker.core.duration import SECOND, Micros
from stoker.engine import single
from stoker.engine.batch import Batches
from stoker.engine.dispatch import Dispatcher
from stoker.engine.events import Ended, Hub
from stoker.engine.gates import ANY, Gates
from stoker.engine.ids import Ids
from stoker.engine.ports import Clock, Reader, Steered, Store, Tx
from stoker.engine.sessions import Sessions
from stoker.engine.transaction import Outcome
from stoker.errors import Unavailable

BEAT: Micros = 10 * SECOND
GONE: Micros = 3 * BEAT  # a server that was not seen for so long
LOOK: Micros = 5 * SECOND  # between two looks for tasks that nobody told of
APART: Micros = SECOND  # what the clocks of two servers may be apart
GATHER_S = 0.01
MOST = 75  # of each sort in one message, which the database limits to 8,000 bytes


class News(msgspec.Struct, omit_defaults=True):
    """One message. `lanes`: with tasks for whoever waits. `ended`: runs. `nudged`, `retired`: sessions.

    `graphs`: something was pushed. `here`: a server came or went. `gates`: limits that let tasks through again.
    """

    of: int
    lanes: dict[int, int] = {}
    ended: list[Ended] = []
    nudged: list[int] = []
    retired: list[int] = []
    graphs: bool = False
    here: bool = False
    gates: dict[int, int] = {}


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(News).decode


class Peers:
    """The registry of servers and the whispers between them. `tick` is to be called again and again."""

    def __init__(
        self,
        store: Store,
        ids: Ids,
        clock: Clock | Steered,
        batches: Batches,
        dispatcher: Dispatcher,
        sessions: Sessions,
        hub: Hub,
        gates: Gates,
        name: str,
    ) -> None:
        self._store = store
        self._hints = store.hints()
        self._ids = ids
        self._clock = clock
        self._batches = batches
        self._dispatcher = dispatcher
        self._sessions = sessions
        self._hub = hub
        self._gates = gates
        self._name = name
        self._id = 0
        self.started = clock.now()  # by the clock that is shared
        self.meetings = 0  # how often somebody may have been there: what was remembered before may be old
        self._others = 0  # alive, besides us
        self._lanes = 0  # how many sessions have been compared with
        self._beat_at: Micros = 0
        self._apart_since: Micros | None = None  # since when another server's time is further on
        self._news: News = News(0)
        self._telling: asyncio.Task[None] | None = None
        self._working: set[asyncio.Task[None]] = set()
        self.wake = asyncio.Event()

    @property
    def alone(self) -> bool:
        """Whether no other server can have changed what we remember: there is none, and we would hear of one."""
        return self._hints is None or not (self._others or self._hints.deaf)

    async def open(self) -> None:
        """Take the others' time, register, hear, and say that we are here. Alone, there is nothing to do."""
        if self._hints is None:
            return
        await self._take_time()
        self._id = await self._ids.one("server")
        self._news = News(self._id)
        await self._beat()
        await self._hints.listen(self._heard)
        await self._say(News(self._id, here=True))

    async def close(self) -> None:
        """Say what is still to be said, and that we are gone."""
        if self._hints is None:
            return
        if self._telling is not None:
            await self._telling
        for task in list(self._working):
            task.cancel()
        try:
            await single.transact(self._store, self._leave)
            await self._say(News(self._id, here=True))
        finally:
            await self._hints.close()

    # --- who is there ---

    async def tick(self) -> Micros:
        """Say that we live, and look for what nobody told us; gives the time until the next."""
        if self._hints is None:
            return 2**40
        now = self._clock.now()
        if now >= self._beat_at:
            await self._beat()
        await self._look()
        return max(SECOND, min(self._beat_at, now + LOOK) - self._clock.now())

    async def _take_time(self) -> None:
        """One clock for all: the database's, or as far ahead of it as the server that was seen last."""
        if not isinstance(self._clock, Steered):
            return
        there = await self._store.time()
        rows = await self._store.read(lambda reader: reader.rows("servers"))
        alive = [(seen, ahead) for _, _, _, seen, ahead in rows if there + ahead - seen < GONE]
        self._clock.join(there, max(alive)[1] if alive else 0)
        self.started = self._clock.now()

    async def _beat(self) -> None:
        ahead = 0
        if isinstance(self._clock, Steered):
            self._clock.follow(await self._store.time())
            ahead = self._clock.ahead
        now = self._clock.now()

        async def beat(tx: Tx) -> tuple[int, Micros | None, int]:
            await tx.execute("beat_server", self._id, self._name, self.started, now, ahead)
            ((others, furthest, lanes),) = await tx.execute("others", now - GONE, now - ahead - GONE, self._id)
            return others, furthest, lanes

        before = self._others
        self._others, furthest, lanes = await single.transact(self._store, beat)
        self._agree(now, ahead if furthest is None else furthest)
        self.meetings += bool(before or self._others)
        self._beat_at = now + BEAT
        self._sessions.tidy()
        if lanes != self._lanes:  # somebody pushed a graph, and was perhaps not heard
            await self._sessions.lanes_changed()
            self._lanes = lanes

    def _agree(self, now: Micros, furthest: Micros) -> None:
        """Take over the time of a server that is further on, if it stays so for longer than a dead one is believed.

        Then it was this machine that stood still, or that came just as the database's clock jumped. The leases of all
        have ended by the new time, so nobody is reaped for a while, as after an outage of the database.
        """
        if not isinstance(self._clock, Steered) or furthest <= self._clock.ahead + APART:
            self._apart_since = None
        elif self._apart_since is None:
            self._apart_since = now
        elif now - self._apart_since > GONE:
            self._clock.agree(furthest)
            self._apart_since = None
            self._batches.refused_at = self._clock.now()

    async def _leave(self, tx: Tx) -> None:
        await tx.execute("remove_servers", self._id, self._clock.now() - 100 * GONE)

    async def _look(self) -> None:
        """Tasks in lanes where runners wait here: somebody may have put them there and died, or was not heard."""
        lanes = self._dispatcher.waited_for()
        if not lanes:
            return
        rows = await self._store.peek(lambda reader: _filled(reader, lanes))
        self._batches.serve(dict.fromkeys(rows, ANY))

    # --- telling ---

    def committed(self, outcome: Outcome) -> None:
        """Pass on what a commit of ours means to others."""
        if not self._others:
            return
        fold = outcome.fold
        if outcome.left or outcome.freed or fold.ended_runs:
            self._news.lanes = _more(self._news.lanes, outcome.left)
            self._news.gates = _more(self._news.gates, outcome.freed)
            self._news.ended += [Ended.of(fold.runs[run]) for run in fold.ended_runs]
            self._soon()

    def nudge(self, sessions: Iterable[int]) -> None:
        """Have these sessions ask what they have to learn, wherever they hold their claims open."""
        for session in sessions:
            self._dispatcher.nudge(session)
            self._news.nudged.append(session)
        self._soon()

    def retire(self, sessions: Iterable[int]) -> None:
        """Give these sessions nothing through the claims they hold open now, wherever that is."""
        for session in sessions:
            self._dispatcher.retire(session)
            self._news.retired.append(session)
        self._soon()

    def opened(self, gates: Mapping[int, int]) -> None:
        """These limits allow so many more tasks, here and elsewhere."""
        self._batches.serve(self._gates.lanes(gates))
        self._news.gates = _more(self._news.gates, gates)
        self._soon()

    def pushed(self) -> None:
        """A graph was pushed."""
        self._news.graphs = True
        self._soon()

    def _soon(self) -> None:
        if self._others and (self._telling is None or self._telling.done()):
            self._telling = asyncio.create_task(self._tell())
        elif not self._others:
            self._news = News(self._id)

    async def _tell(self) -> None:
        await asyncio.sleep(GATHER_S)
        news, self._news = self._news, News(self._id)
        for part in _parts(news):
            await self._say(part)

    async def _say(self, news: News) -> None:
        if self._hints is not None:
            await self._hints.say(_encode(news).decode())

    # --- hearing ---

    def _heard(self, text: str | None) -> None:
        """From the side connection: None when something may have been missed."""
        if text is None:
            self.meetings += 1
            self._start(self._refresh())
            return
        try:
            news = _decode(text)
        except msgspec.DecodeError:
            return  # a newer version may say what we do not understand
        if news.of == self._id:
            return
        self._batches.serve(_more(news.lanes, self._gates.lanes(news.gates)))
        self._hub.ended(news.ended)
        for session in news.nudged:
            self._dispatcher.nudge(session)
        for session in news.retired:
            self._dispatcher.retire(session)
        if news.graphs:
            self._start(self._sessions.lanes_changed())
        if news.here:
            self.meetings += 1
            self._beat_at = 0
            self.wake.set()

    async def _refresh(self) -> None:
        """Look at everything that a missed hint could have told."""
        await self._sessions.lanes_changed()
        self._hub.doubt()
        await self._look()
        self._beat_at = 0
        self.wake.set()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(_quietly(work))
        self._working.add(task)
        task.add_done_callback(self._working.discard)


async def _quietly(work: Coroutine[Any, Any, None]) -> None:
    with suppress(Unavailable):  # the next slow look makes up for it
        await work


async def _filled(reader: Reader, lanes: Sequence[int]) -> list[int]:
    return await reader.ids("filled_lanes", list(lanes))


def _more(counts: Mapping[int, int], others: Mapping[int, int]) -> dict[int, int]:
    return dict(Counter(counts) + Counter(others))


def _parts(news: News) -> list[News]:
    """Messages of bearable size."""
    lanes, gates = list(news.lanes.items()), list(news.gates.items())
    longest = max(len(lanes), len(gates), len(news.ended), len(news.nudged), len(news.retired), 1)
    return [
        News(
            news.of,
            dict(lanes[at : at + MOST]),
            news.ended[at : at + MOST],
            news.nudged[at : at + MOST],
            news.retired[at : at + MOST],
            news.graphs and not at,
            gates=dict(gates[at : at + MOST]),
        )
        for at in range(0, longest, MOST)
    ]
