"""Lists of runs and tasks by filter, a page at a time.

Which runs a filter asks for every statement of `lists.sql` knows; here is decided by which index they are looked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from stoker.core.branch import END
from stoker.core.compiled import Compiled
from stoker.core.duration import Micros
from stoker.core.filter import MOST, Allowed, Term, term
from stoker.core.model import Run
from stoker.core.run_filter import RunWanted, TagPair, run_terms
from stoker.core.states import RunState
from stoker.core.task_filter import TaskWanted, task_terms
from stoker.core.views import Page, RunView, TaskView
from stoker.engine.paging import cursor, key, limited
from stoker.engine.ports import Clock, Reader, Store
from stoker.engine.shown import run_view, schedules_of, tags_of, task_runners, task_view
from stoker.errors import NotFound

FEW_RUNNING = 1_000  # up to so many runs that go on are looked for by their tasks, more by the page
FEW_VERSIONS = 5  # each looked for by itself
FEW_VALUES = 20  # of one tag, each looked for by itself
_GAP = "\x1f"  # between the name and the value of a tag: a character that neither has
_TROUBLED = {RunState.FAILED, RunState.CANCELLED}


class Place(NamedTuple):
    """A place in the list of runs: all that were made before this one come behind it."""

    at: Micros
    id: int

    @property
    def cursor(self) -> str:
        return key(self.at, self.id)


FRONT = Place(MOST, MOST)


def place(after: str | None) -> Place:
    return Place(*cursor(after, (int, int))) if after else FRONT


class Lists:
    """Pages of runs and tasks."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    @staticmethod
    def run_terms(text: str, **also: str | None) -> tuple[Term, ...]:
        """What a filter and further terms `field=value` ask of runs."""
        return run_terms(_together(text, also))

    @staticmethod
    def task_terms(text: str, **also: str | None) -> tuple[Term, ...]:
        """As `run_terms`, of tasks."""
        return task_terms(_together(text, also))

    async def run_views(
        self, namespace: str, number: int, terms: Sequence[Term], limit: int, after: str | None
    ) -> Page[RunView]:
        """Runs, newest first."""
        limit, before = limited(limit), place(after)

        async def find(reader: Reader) -> Page[RunView]:
            found = await self.runs(reader, number, terms, before, limit + 1)
            shown = found[:limit]
            rows = await reader.rows("version_names", list({run.version for run in shown}))
            names = {id_: (name, version) for id_, name, version in rows}
            tags = await tags_of(reader, [run.id for run in shown])
            schedules = await schedules_of(reader, shown)
            return Page(
                items=[
                    run_view(
                        namespace, run, *names[run.version], tags.get(run.id, {}), schedules.get(run.schedule or 0)
                    )
                    for run in shown
                ],
                after=Place(shown[-1].created_at, shown[-1].id).cursor if len(found) > limit else None,
            )

        return await self._store.read(find)

    async def runs(self, reader: Reader, namespace: int, terms: Sequence[Term], before: Place, limit: int) -> list[Run]:
        """The next runs behind a place."""
        wanted = RunWanted(terms, self._clock.now())
        return [] if wanted.nothing else await _Looking(reader, namespace, wanted, before, limit).runs()

    async def task_views(
        self, reader: Reader, run: int, graph: Compiled, terms: Sequence[Term], limit: int, after: str | None
    ) -> Page[TaskView]:
        """The tasks of a run, by node and branch."""
        limit = limited(limit)
        start: tuple[int, bytes, int] = (-1, b"", 0)
        if after:
            start = cursor(after, (int, bytes, int))
        wanted = TaskWanted(terms, graph, self._clock.now())
        for name in wanted.named - graph.names.keys():
            known = ", ".join(map(repr, graph.names))
            raise NotFound(
                f"the graph of run {run} has no node {name!r}.",
                code="no_node",
                place="node",
                remedy=f"Its nodes: {known}.",
            )
        if not wanted.nodes:
            return Page(items=[])
        start = max(start, (wanted.nodes[0] - 1, END, 0))
        found = await reader.task_rows("task_page", run, *start, *_task_values(wanted), limit + 1)
        runners = await task_runners(reader, found[:limit])
        last = found[limit - 1] if len(found) > limit else None
        return Page(
            items=[task_view(graph, task, runners) for task in found[:limit]],
            after=key(last.node, last.branch, last.generation) if last else None,
        )


def _together(text: str, also: Mapping[str, str | None]) -> str:
    return " ".join([text, *(term(field, value) for field, value in also.items() if value is not None)])


class _Looking:
    """One look for runs: by the narrowest way in that there is an index for."""

    def __init__(self, reader: Reader, namespace: int, wanted: RunWanted, before: Place, limit: int) -> None:
        self._reader = reader
        self._namespace = namespace
        self._wanted = wanted
        self._before = min(before, Place(wanted.created.high + 1, 0))
        self._limit = limit
        self._versions: list[int] = []

    async def runs(self) -> list[Run]:
        wanted = self._wanted
        if not wanted.any_version:
            self._versions = await self._of_versions()
            if not self._versions:
                return []
        if (ids := await self._ids()) is not None:
            return await self._ask("runs_by_id", ids)
        if wanted.tags and len(wanted.tags[0]) <= FEW_VALUES:
            return self._merged([await self._ask("runs_tagged", *pair) for pair in wanted.tags[0]])
        if RunState.SUCCEEDED not in wanted.states and (found := await self._by_state()) is not None:
            return found
        if 0 < len(self._versions) <= FEW_VERSIONS:
            return self._merged([await self._ask("runs_of_version", version) for version in self._versions])
        return await self._ask("runs_all")

    async def _of_versions(self) -> list[int]:
        graphs = self._wanted.graphs
        rows = await self._reader.rows("version_numbers", self._namespace, int(not graphs), graphs)
        return [id_ for id_, graph, number in rows if self._wanted.of_version(graph, number)]

    async def _ids(self) -> list[int] | None:
        """The runs among which to look, if they are named by id or key."""
        ids, keys, roots = self._wanted.id.only, self._wanted.key.only, self._wanted.root.only
        named = None if ids is None else {id_ for id_ in ids if self._wanted.id.lets(id_)}
        if keys is not None:
            found = set(await self._reader.ids("runs_by_key", self._namespace, sorted(keys)))
            named = found if named is None else named & found
        if roots is not None:
            found = set(await self._reader.ids("runs_below", sorted(roots)))
            named = found if named is None else named & found
        return None if named is None else sorted(named)

    async def _by_state(self) -> list[Run] | None:
        """Runs that did not succeed, by what they left or have to do; None if too many go on."""
        found = []
        if RunState.RUNNING in self._wanted.states:
            going_on = await self._reader.ids("running_runs", FEW_RUNNING, int(RunState.RUNNING))
            if len(going_on) >= FEW_RUNNING:
                return None
            found.append(await self._ask("runs_by_id", going_on))
        if _TROUBLED & set(self._wanted.states):
            found.append(await self._ask("runs_troubled"))
        return self._merged(found)

    def _merged(self, found: Sequence[Sequence[Run]]) -> list[Run]:
        runs = {run.id: run for each in found for run in each}
        return sorted(runs.values(), key=lambda run: (run.created_at, run.id), reverse=True)[: self._limit]

    async def _ask(self, statement: str, *way: Any) -> list[Run]:
        values = _run_values(self._wanted, self._versions)
        newest, since = self._before, self._wanted.created.low
        return await self._reader.run_rows(statement, self._namespace, *newest, since, *way, *values, self._limit)


def _run_values(wanted: RunWanted, versions: list[int]) -> list[Any]:
    """What `run_wanted` binds, in its order."""
    no_keys = sorted(wanted.key.never)
    tags, not_tags = [_tag(pair) for pairs in wanted.tags for pair in pairs], [_tag(pair) for pair in wanted.not_tags]
    return [
        int(wanted.root.only is not None or wanted.id.only is not None),
        *([int(value) for value in values] for values in (wanted.states, wanted.priorities, wanted.stopping)),
        *(wanted.id.low, wanted.id.high, sorted(wanted.id.never)),
        *(int(wanted.any_version), versions),
        *_only_and_never(wanted.token),
        *(int(wanted.ended.free), wanted.ended.low, wanted.ended.high),
        *(int(not no_keys), no_keys),
        *(len(wanted.tags), _GAP, tags),
        *(int(not not_tags), not_tags),
    ]


def _tag(pair: TagPair) -> str:
    return f"{pair.name}{_GAP}{pair.value}"


def _task_values(wanted: TaskWanted) -> list[Any]:
    """What `task_page` binds behind its cursor, in its order."""
    return [
        *(wanted.nodes[-1], wanted.nodes, [int(state) for state in wanted.states]),
        *(wanted.created.low, wanted.created.high),
        *_only_and_never(wanted.code),
        *(value for field in wanted.numbers for value in (*_only_and_never(field), field.low, field.high)),
    ]


def _only_and_never(allowed: Allowed) -> tuple[int, list[Any], list[Any]]:
    return int(allowed.only is None), sorted(allowed.only or ()), sorted(allowed.never)
