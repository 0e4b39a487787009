"""What of an engine few calls ask for: each noun is imported, and made, with its first call, and no start pays for it.

What tasks pass through, and what ticks, is made by the engine itself.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from stoker.artifacts.file import FileStore
from stoker.engine.alarm import Alarm
from stoker.engine.batch import Batches
from stoker.engine.catalog import Catalog
from stoker.engine.delivery import Delivery
from stoker.engine.dispatch import Dispatcher
from stoker.engine.events import Hub
from stoker.engine.holds import Holds
from stoker.engine.ids import Ids
from stoker.engine.large import Large
from stoker.engine.namespaces import Namespaces
from stoker.engine.peers import Peers
from stoker.engine.ports import Clock, Dice
from stoker.engine.preparing import Preparing
from stoker.engine.runs import Runs
from stoker.engine.sessions import Sessions
from stoker.engine.versions import Versions
from stoker.engine.views import Views
from stoker.storage.sqlite.store import Sqlite

if TYPE_CHECKING:
    from stoker.engine.backup import Backups
    from stoker.engine.bulk import Bulk
    from stoker.engine.demand import Demand
    from stoker.engine.diff import Differing
    from stoker.engine.documents import Documents
    from stoker.engine.exporting import Exporting
    from stoker.engine.fork import Forks
    from stoker.engine.importing import Importing
    from stoker.engine.live import Live
    from stoker.engine.logs import Logs
    from stoker.engine.manifest import Manifests
    from stoker.engine.nodes import Nodes
    from stoker.engine.opaque import Opaque
    from stoker.engine.overview import Overview
    from stoker.engine.own import Own
    from stoker.engine.recorded import Recorded
    from stoker.engine.schedules import Schedules
    from stoker.engine.tasks import Tasks
    from stoker.engine.usage import Usage
    from stoker.engine.verify import Verifying
    from stoker.engine.waits import Waits
    from stoker.storage.postgres.store import Postgres


class Seldom:
    """The attributes are those of the engine that it is a part of."""

    store: Sqlite | Postgres
    blobs: FileStore
    clock: Clock
    alarm: Alarm
    batches: Batches
    catalog: Catalog
    dispatcher: Dispatcher
    events: Hub
    peers: Peers
    runs: Runs
    sessions: Sessions
    views: Views
    _delivery: Delivery
    _dice: Dice
    _holds: Holds
    _ids: Ids
    _large: Large
    _namespaces: Namespaces
    _preparing: Preparing
    _versions: Versions

    @cached_property
    def logs(self) -> Logs:
        from stoker.engine.logs import Logs

        return Logs(self.store, self._namespaces, self._versions, self.events, self.clock)

    @cached_property
    def bulk(self) -> Bulk:
        from stoker.engine.bulk import Bulk
        from stoker.engine.lists import Lists

        return Bulk(self.store, self._namespaces, Lists(self.store, self.clock), self.runs, self.clock)

    @cached_property
    def tasks(self) -> Tasks:
        from stoker.engine.tasks import Tasks

        return Tasks(self.batches, self.views, self.peers)

    @cached_property
    def live(self) -> Live:
        from stoker.engine.live import Live

        return Live(self.store, self._namespaces, self._versions, self.batches, self.blobs)

    @cached_property
    def nodes(self) -> Nodes:
        from stoker.engine.nodes import Nodes

        return Nodes(self.store, self._namespaces, self._versions, self.batches, self.live)

    @cached_property
    def waits(self) -> Waits:
        from stoker.engine.waits import Waits

        return Waits(self.store, self._namespaces, self._versions, self.batches, self.views)

    @cached_property
    def forks(self) -> Forks:
        from stoker.engine.fork import Forks

        return Forks(self.store, self._namespaces, self._versions, self.batches, self.blobs, self._ids)

    @cached_property
    def recorded(self) -> Recorded:
        from stoker.engine.recorded import Recorded

        return Recorded(self.store, self._namespaces, self._versions, self.blobs)

    @cached_property
    def manifests(self) -> Manifests:
        from stoker.engine.manifest import Manifests

        return Manifests(self.store, self._namespaces, self._versions, self.recorded)

    @cached_property
    def verifying(self) -> Verifying:
        from stoker.engine.verify import Verifying

        return Verifying(self.store, self.manifests, self.recorded, self.blobs)

    @cached_property
    def differing(self) -> Differing:
        from stoker.engine.diff import Differing

        return Differing(self.manifests)

    @cached_property
    def own(self) -> Own:
        from stoker.engine.callers import Callers
        from stoker.engine.own import Own

        return Own(
            self.store,
            self._namespaces,
            Callers(self.store, self.sessions, self._ids, self.clock),
            self._versions,
            self.batches,
            self.dispatcher,
            self._delivery,
            self._preparing,
            self._large,
            self.clock,
        )

    @cached_property
    def schedules(self) -> Schedules:
        from stoker.engine.schedules import Schedules

        return Schedules(self.store, self._namespaces, self.catalog, self.batches, self._ids, self.clock, self.alarm)

    @cached_property
    def backups(self) -> Backups:
        from stoker.engine.backup import Backups

        return Backups(self.store, self.blobs, self.clock, self._holds)

    @cached_property
    def exporting(self) -> Exporting:
        from stoker.engine.exporting import Exporting

        return Exporting(self.store, self._namespaces, self.blobs, self.clock)

    @cached_property
    def importing(self) -> Importing:
        from stoker.engine.importing import Importing

        return Importing(self.store, self._namespaces, self.blobs, self.clock, self._dice)

    @cached_property
    def usage(self) -> Usage:
        from stoker.engine.usage import Usage

        return Usage(self.store, self._namespaces, self.blobs)

    @cached_property
    def documents(self) -> Documents:
        from stoker.engine.documents import Documents

        return Documents(self.store, self._namespaces, self.clock)

    @cached_property
    def opaque(self) -> Opaque:
        from stoker.engine.opaque import Opaque

        return Opaque(self.store, self.clock, self._dice)

    @cached_property
    def demand(self) -> Demand:
        from stoker.engine.demand import Demand

        return Demand(self.store, self._namespaces, self.sessions, self.clock)

    @cached_property
    def overview(self) -> Overview:
        from stoker.engine.overview import Overview

        return Overview(self.store, self._namespaces, self._versions)
