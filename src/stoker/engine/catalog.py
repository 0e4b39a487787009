"""Kinds and graphs: what may run. A pushed graph is compiled first; an unchanged one keeps its version."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256

import msgspec

from stoker.core.away import at_home, by_key, kind_key, namespaces, with_homes
from stoker.core.compile import compile_graph
from stoker.core.duration import Micros
from stoker.core.graph import GraphSpec, KindSpec
from stoker.core.laned import with_lanes
from stoker.core.names import fault
from stoker.core.own import OWN
from stoker.core.views import GraphView, Page, PushRequest
from stoker.engine import single
from stoker.engine.acting import Note
from stoker.engine.declared import check_kinds, doubts
from stoker.engine.documents import Along, Beside, Changes
from stoker.engine.gates import ANY
from stoker.engine.limits import Limits, put_limits
from stoker.engine.namespaces import Namespaces
from stoker.engine.nesting import pinned
from stoker.engine.peers import Peers
from stoker.engine.ports import Clock, Reader, Store, Tx
from stoker.engine.sessions import Sessions
from stoker.engine.versions import Version, Versions, by_value, check_schemas, check_waits, homes_of, lane_key, lanes_of
from stoker.errors import Invalid, NotFound


def when(at: Micros) -> datetime:
    return datetime.fromtimestamp(at / 1_000_000, UTC)


class Catalog:
    """Publishes kinds and graphs, and finds them again."""

    def __init__(
        self,
        store: Store,
        namespaces: Namespaces,
        versions: Versions,
        sessions: Sessions,
        peers: Peers,
        clock: Clock,
    ) -> None:
        self._store = store
        self._namespaces = namespaces
        self._versions = versions
        self._sessions = sessions
        self._peers = peers
        self._clock = clock
        self._latest: dict[tuple[int, str], int] = {}
        self._meetings = 0  # with other servers, up to which that is true
        self._numbered: dict[tuple[int, str, int], int] = {}

    async def push(self, namespace: str, request: PushRequest, along: Along | None = None) -> GraphView:
        """Publish a graph with its kinds, after those inside. Invalid lists every problem; it is not stored then.

        `along`: changes documents in the transaction that publishes the graph; it is told the version.
        """
        for inner in request.inner:
            await self._push(namespace, inner, request.kinds)
        return await self._push(namespace, request.graph, request.kinds, along)

    async def _push(
        self, namespace: str, graph: GraphSpec, given: Sequence[KindSpec], along: Along | None = None
    ) -> GraphView:
        check_kinds(given)
        number = await self._namespaces.made(namespace)
        graph, inner = await self._store.read(lambda reader: pinned(reader, number, at_home(graph, namespace)))
        homes = await self._store.read(lambda reader: homes_of(reader, graph)) if namespaces(graph) else {}
        known = {kind.name: kind for kind in await self._kinds(number)}
        known.update({kind.name: kind for kind in given}, **inner)
        for home, its in homes.items():
            known.update(by_key(msgspec.structs.replace(kind, namespace=home) for kind in await self._kinds(its)))
        compiled = compile_graph(graph, known)
        inputs = [*graph.inputs.items(), *graph.store.items()]
        check_schemas([KindSpec(name=name, input=wanted.schema) for name, wanted in inputs])
        check_waits(graph)
        used = [known[key] for key in sorted({kind_key(node) for node in graph.nodes} - OWN | inner.keys())]
        spec = msgspec.json.encode(graph).decode()
        kinds = msgspec.json.encode(used).decode()
        digest = sha256(f"{spec}\n{kinds}".encode()).hexdigest()
        now = self._clock.now()

        async def put(tx: Tx) -> tuple[int, int, Micros, bool, Limits, dict[str, int]]:
            changes = None if along is None else await Changes(tx, number, now).begin()
            done = await publish(tx)
            if along is not None and changes is not None:
                await along(changes, done[1])
            return done

        async def publish(tx: Tx) -> tuple[int, int, Micros, bool, Limits, dict[str, int]]:
            await self._put_kinds(tx, number, given, now)
            limits = await put_limits(tx, number, graph)
            for node in graph.nodes:
                await tx.execute("put_lane", *lane_key(node, number, limits.gates, homes), int(by_value(node)))
            lanes = await lanes_of(tx, number, graph, limits.gates, homes)
            latest = await tx.execute("latest_version", number, graph.name)
            if latest and latest[0][2] == digest:
                return latest[0][0], latest[0][1], latest[0][3], False, limits, lanes
            version = latest[0][1] + 1 if latest else 1
            rows = await tx.execute("insert_version", number, graph.name, version, digest, spec, kinds, now)
            return rows[0][0], version, now, True, limits, lanes

        id_, version, created_at, created, limits, lanes = await single.transact(
            self._store, put, lambda put: Note([f"graph:{graph.name}"], {"version": put[1], "created": put[3]})
        )
        if self._versions.known(id_) is None:
            placed = with_homes(with_lanes(compiled, lanes, limits.gates), homes)
            self._versions.add(Version(id_, number, version, placed))
        self._latest[number, graph.name] = id_
        if created:
            await self._sessions.lanes_changed()
            self._peers.pushed()
        if limits.changed:
            self._peers.opened(dict.fromkeys(limits.changed, ANY))
        here = [kind for kind in used if kind.namespace is None]
        lacking = await self._store.read(lambda reader: doubts(reader, number, graph.name, here))
        return GraphView(
            name=graph.name,
            version=version,
            hash=digest,
            created_at=when(created_at),
            created=created,
            warnings=[*compiled.warnings, *limits.warnings, *lacking],
        )

    async def put_kinds(self, namespace: str, kinds: Sequence[KindSpec], along: Beside | None = None) -> None:
        """Register kinds, or what has changed about them. Graph versions keep the kinds they were pushed with.

        `along`: changes documents in the same transaction.
        """
        for kind in kinds:
            if wrong := fault(kind.name):
                raise Invalid(wrong, code="bad_name", place="kinds")
        check_kinds(kinds)
        number = await self._namespaces.made(namespace)
        now = self._clock.now()

        async def put(tx: Tx) -> None:
            changes = None if along is None else await Changes(tx, number, now).begin()
            await self._put_kinds(tx, number, kinds, now)
            if along is not None and changes is not None:
                await along(changes)

        await single.transact(self._store, put, lambda _: Note([f"kind:{kind.name}" for kind in kinds]))

    @staticmethod
    async def _put_kinds(tx: Tx, namespace: int, kinds: Sequence[KindSpec], now: Micros) -> None:
        for kind in kinds:
            await tx.execute("put_kind", namespace, kind.name, msgspec.json.encode(kind).decode(), now)

    async def namespaces(self) -> list[str]:
        """Those that have kinds, by name."""
        await self._namespaces.load()
        rows = await self._store.read(lambda reader: reader.rows("kind_namespaces"))
        return sorted(self._namespaces.name(number) for (number,) in rows)

    async def kinds(self, namespace: str) -> list[KindSpec]:
        return await self._kinds(await self._namespaces.existing(namespace))

    async def _kinds(self, namespace: int) -> list[KindSpec]:
        rows = await self._store.read(lambda reader: reader.rows("kinds", namespace))
        return [msgspec.json.decode(spec, type=KindSpec) for (spec,) in rows]

    async def graphs(self, namespace: str, limit: int, after: str | None) -> Page[GraphView]:
        """The newest version of each graph, by name."""
        number = await self._namespaces.existing(namespace)
        rows = await self._store.read(lambda reader: reader.rows("graphs", number, after or "", limit + 1))
        items = [
            GraphView(name=name, version=version, hash=digest, created_at=when(at))
            for name, version, digest, at in rows[:limit]
        ]
        return Page(items=items, after=items[-1].name if len(rows) > limit else None)

    async def graph(self, namespace: str, name: str, version: int | None) -> GraphView:
        """One version with its specification; None: the newest."""
        number = await self._namespaces.existing(namespace)

        async def find(reader: Reader) -> tuple[int, int, str, Micros, str]:
            if version is None:
                latest = await reader.rows("latest_version", number, name)
                wanted = latest[0][1] if latest else 0
            else:
                wanted = version
            for row in await reader.rows("version_by_number", number, name, wanted):
                return row[0], row[1], row[2], row[3], row[4]
            raise _no_graph(namespace, name, version)

        _, found, digest, at, spec = await self._store.read(find)
        return GraphView(
            name=name,
            version=found,
            hash=digest,
            created_at=when(at),
            spec=msgspec.json.decode(spec, type=GraphSpec),
        )

    async def version(self, namespace: str, name: str, version: int | None) -> Version:
        """The graph version that a trigger means. Where others may push, the newest is looked up each time."""
        number = await self._namespaces.existing(namespace)
        if version is None and not self._peers.alone:
            return await self._newest(namespace, number, name)
        self._doubt()
        id_ = self._latest.get((number, name)) if version is None else self._numbered.get((number, name, version))
        known = self._versions.known(id_) if id_ is not None else None
        if known is not None:
            return known

        async def find(reader: Reader) -> Version:
            if version is None:
                rows = await reader.rows("latest_version", number, name)
            else:
                rows = await reader.rows("version_by_number", number, name, version)
            if not rows:
                raise _no_graph(namespace, name, version)
            return await self._versions.get(reader, rows[0][0])

        found = await self._store.read(find)
        if version is None:
            newest = self._latest.setdefault((number, name), found.id)  # a push since we looked knows better
            return self._versions.known(newest) or found
        self._numbered[number, name, version] = found.id
        return found

    def _doubt(self) -> None:
        """Forget which versions are the newest if another server was there since: it may have pushed some."""
        if self._meetings != self._peers.meetings:
            self._meetings = self._peers.meetings
            self._latest.clear()

    async def _newest(self, namespace: str, number: int, name: str) -> Version:
        rows = await self._store.peek(lambda reader: reader.rows("latest_version", number, name))
        if not rows:
            raise _no_graph(namespace, name, None)
        id_: int = rows[0][0]
        known = self._versions.known(id_)
        return known if known is not None else await self._store.read(lambda reader: self._versions.get(reader, id_))


def _no_graph(namespace: str, name: str, version: int | None) -> NotFound:
    which = f"version {version} of the graph {name!r}" if version is not None else f"a graph {name!r}"
    return NotFound(
        f"the namespace {namespace!r} has not got {which}.",
        code="no_graph",
        remedy="Push it with `stoker graphs push FILE:graph`, or list them with `stoker graphs list`.",
    )
