"""Builds an engine over one SQLite file and one folder of artifacts: the only place that knows every concrete class."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from stoker.artifacts.file import FileStore
from stoker.bootstrap import belonging
from stoker.bootstrap.clock import SystemClock, SystemDice
from stoker.bootstrap.databases import postgres
from stoker.bootstrap.keyring import Keyring
from stoker.bootstrap.lock import locked
from stoker.bootstrap.seldom import Seldom
from stoker.core.keep_views import KeepSpec
from stoker.engine.alarm import Alarm
from stoker.engine.artifacts import Artifacts
from stoker.engine.audit import FOR_EVER, Audit, Auditing
from stoker.engine.batch import Batches
from stoker.engine.catalog import Catalog
from stoker.engine.collecting import Collecting
from stoker.engine.delivery import Delivery
from stoker.engine.dispatch import Dispatcher
from stoker.engine.events import Hub
from stoker.engine.gates import Gates
from stoker.engine.holds import Holds
from stoker.engine.ids import Ids
from stoker.engine.known import Keys
from stoker.engine.large import Large
from stoker.engine.leases import Leases
from stoker.engine.namespaces import Namespaces
from stoker.engine.peers import Peers
from stoker.engine.ports import Clock, Dice
from stoker.engine.preparing import Preparing
from stoker.engine.retention import Retention
from stoker.engine.roles import Roles
from stoker.engine.runs import Runs
from stoker.engine.secrets import Secrets, told
from stoker.engine.sessions import Sessions
from stoker.engine.tokens import Tokens
from stoker.engine.tools import Tools
from stoker.engine.transaction import Outcome
from stoker.engine.upkeep import Refuse, Upkeep
from stoker.engine.versions import Versions
from stoker.engine.views import Views
from stoker.errors import Unavailable
from stoker.runner.settings import DEFAULT_NAMESPACE
from stoker.scheduler import loop
from stoker.storage.sqlite.store import Sqlite

if TYPE_CHECKING:
    from stoker.storage.postgres.store import Postgres

_log = logging.getLogger("stoker.secrets")
_RESTORE = "Give the server the key (STOKER_SECRET_KEY, or the file of `secret_key_file`), and start it anew."


class StokerEngine(Seldom):
    """The engine over one SQLite file and one folder of artifacts."""

    def __init__(
        self,
        data: Path,
        *,
        durable: bool = True,
        root_token: str | None = None,
        clock: Clock | None = None,
        dice: Dice | None = None,
        database: str | None = None,
        artifacts: Path | None = None,
        keys: Keyring | None = None,
        keep: KeepSpec = KeepSpec(),  # noqa: B008  a frozen value
        audit: Auditing = FOR_EVER,
    ) -> None:
        self.clock = clock or SystemClock()
        self._dice = dice = dice or SystemDice()
        keys = keys or Keyring()
        self.store = _store(data, database, durable=durable)
        self._folder = artifacts or data / "artifacts"
        self.blobs = FileStore(self._folder, sync=durable)
        self._ids = Ids(self.store)
        self._namespaces = Namespaces(self.store)
        self._versions = versions = Versions()
        self.alarm = Alarm()
        self.dispatcher = Dispatcher()
        self.gates = Gates(self.alarm)
        self.keys = Keys(self.store, self.clock)
        self.sessions = Sessions(
            self.store, self.clock, self._namespaces, self.alarm, self.gates, self.dispatcher.nudge
        )
        self.events = Hub(self.store, self._namespaces, self.alarm)
        tools = Tools(
            alone=lambda: self.peers.alone,
            versions=versions,
            ids=self._ids,
            clock=self.clock,
            dice=dice,
            dispatcher=self.dispatcher,
            gates=self.gates,
            keys=self.keys,
        )
        self.batches = Batches(self.store, self.blobs, tools, self._committed)
        self.peers = Peers(
            self.store,
            self._ids,
            self.clock,
            self.batches,
            self.dispatcher,
            self.sessions,
            self.events,
            self.gates,
            f"{socket.gethostname()}-{os.getpid()}",
        )
        self.catalog = Catalog(self.store, self._namespaces, versions, self.sessions, self.peers, self.clock)
        self.views = Views(self.store, self._namespaces, versions, self.sessions, self.clock, keys)
        self.runs = Runs(
            self.store,
            self._namespaces,
            self.catalog,
            versions,
            self.batches,
            self.views,
            self.blobs,
            self._ids,
            self.events,
            self.peers,
            self.alarm,
        )
        self._delivery = Delivery(self.store, self._namespaces, keys, self.batches)
        self._preparing = Preparing(self.store, self.blobs)
        self._large = Large(self.store, self.blobs, self.batches)
        self.leases = Leases(
            self.store,
            self._namespaces,
            self.sessions,
            versions,
            self.batches,
            self.dispatcher,
            self._delivery,
            self._preparing,
            self._large,
            self._ids,
            self.clock,
        )
        self.artifacts = Artifacts(self.store, self._namespaces, self.blobs, self._ids, self.clock)
        self.secrets = Secrets(self.store, self._namespaces, keys, self.clock)
        self.tokens = Tokens(self.store, self.clock, dice, root_token)
        self.roles = Roles(self.store, self.clock, self.tokens.changed)
        self.audit = Audit(self.store, self.clock, self.alarm, audit)
        self._holds = holds = Holds(self.store, self.clock, dice)
        self.collecting = Collecting(self.store, self.blobs, self.clock, holds)
        self.retention = Retention(self.store, self._namespaces, self.collecting, self.clock, self.alarm, keep)
        self.upkeep = Upkeep(
            self.store,
            self.batches,
            self.sessions,
            self.peers,
            self.gates,
            self.keys,
            self.clock,
            self.alarm,
            self._ids,
            self.retention,
            self.audit,
        )
        self._ticking: list[asyncio.Task[None]] = []

    async def open(self, *, ticking: bool = True) -> None:
        """Open and migrate the store, then start the ticks, unless somebody else ticks."""
        await self.store.open()
        await self.peers.open()
        await self.blobs.open()
        if self.store.shared:
            await belonging.check(self.store, self._folder)
        await self._namespaces.load()
        await self._namespaces.made(DEFAULT_NAMESPACE)  # so that the lists of a fresh server are empty, not errors
        if missing := await self.secrets.missing():
            _log.error("%s: tasks that need them wait. %s", told(missing), _RESTORE)
        if ticking:
            self._ticking.append(
                asyncio.create_task(loop.run(self.upkeep.tick, self.alarm.rung, self.upkeep.stood_still))
            )
            self._ticking.append(asyncio.create_task(loop.run(self.peers.tick, self.peers.wake)))

    def namespace(self, number: int) -> str:
        """What people call a namespace; its number if another server has just made it."""
        try:
            return self._namespaces.name(number)
        except KeyError:
            return str(number)

    async def ready(self) -> list[str]:
        """Return when the store answers; with what cannot be done all the same."""
        missing = await self.secrets.missing()
        return [told(missing)] if missing else []

    async def close(self) -> None:
        """Finish what was submitted, give unused ids back, and let the file go."""
        self.dispatcher.end_all()
        self.events.close()
        for ticking in self._ticking:
            ticking.cancel()
            with suppress(asyncio.CancelledError):
                await ticking
        await self.collecting.close()
        await self.batches.close()
        with suppress(Unavailable):
            await self.audit.flush()
            await self.peers.close()
            await self._ids.close()
        await self.store.close()

    def _committed(self, outcome: Outcome) -> None:
        self.sessions.promised(outcome.promises)
        for session, unheard in outcome.unheard:
            self.leases.hand_back(session, unheard)
        for waiter, handed in outcome.waiters:
            self.leases.told(waiter, handed)
        if outcome.refused:
            self.batches.start(Refuse(outcome.refused))
        self.gates.plan(outcome.later)
        self.events.committed(outcome)
        self.peers.committed(outcome)


def _store(data: Path, database: str | None, *, durable: bool) -> Sqlite | Postgres:
    """The database of a URL; without one, the SQLite file in the data folder."""
    if database is None:
        return Sqlite(data / "stoker.db", durable=durable)
    return postgres(database)


@asynccontextmanager
async def opened(
    data: Path,
    *,
    durable: bool = True,
    root_token: str | None = None,
    database: str | None = None,
    artifacts: Path | None = None,
    keys: Keyring | None = None,
    keep: KeepSpec = KeepSpec(),  # noqa: B008  as above
    audit: Auditing = FOR_EVER,
) -> AsyncIterator[StokerEngine]:
    """An engine on a data folder that no other process uses, and on its own database there or a shared one."""
    with locked(data):
        engine = StokerEngine(
            data,
            durable=durable,
            root_token=root_token,
            database=database,
            artifacts=artifacts,
            keys=keys,
            keep=keep,
            audit=audit,
        )
        try:
            await engine.open()
            yield engine
        finally:
            await engine.close()
