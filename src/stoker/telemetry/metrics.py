"""What Prometheus is told of a server: counted batch by batch after the commit, and looked up when it asks."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from stoker.core.picture import Picture
from stoker.core.states import LIVE, RunState, TaskState
from stoker.engine.exchange import Exchange
from stoker.engine.ports import Row, Store
from stoker.engine.transaction import Outcome, Verb
from stoker.errors import Unavailable

MOST_KINDS = 500  # label sets of kinds; the tasks of all others are counted together
OTHER = "(other)"
FRESH_S = 5.0  # what was looked up is shown again to who asks within this time
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Counting(Store, Protocol):
    """A store that counts its statements."""

    @property
    def statements(self) -> int: ...


class Seen(NamedTuple):
    """What is looked up when somebody asks. `ready`: namespace, kind, lane, and how many tasks are READY there."""

    up: bool
    ready: list[tuple[str, str, str, int]]
    sessions: int


class Metrics:
    """An observer of batches. `name_of`: of a namespace's number. `sessions`: how many are connected here."""

    def __init__(
        self,
        store: Counting,
        name_of: Callable[[int], str],
        sessions: Callable[[], int],
        now_s: Callable[[], float],
    ) -> None:
        self._store = store
        self._name_of = name_of
        self._sessions = sessions
        self._now_s = now_s
        self._asked_at = float("-inf")
        self._kinds: dict[tuple[int, int], tuple[str, str]] = {}  # by version and node: its namespace and kind
        self._named: set[tuple[str, str]] = set()
        registry = self._registry = CollectorRegistry()
        self._size = Histogram(
            "stoker_batch_verbs", "Calls that shared one transaction.", buckets=SIZES, registry=registry
        )
        self._took = Histogram(
            "stoker_batch_seconds", "From the begin of a batch to its commit.", buckets=SECONDS, registry=registry
        )
        self._verbs = Counter("stoker_verbs", "Calls by what they asked for.", ["verb"], registry=registry)
        self._started = Counter("stoker_runs_started", "Runs.", ["namespace"], registry=registry)
        self._ended = Counter("stoker_runs_ended", "Runs that ended.", ["namespace", "state"], registry=registry)
        self._settled = Counter(
            "stoker_tasks_settled", "Tasks that settled.", ["namespace", "kind", "state"], registry=registry
        )
        self._leased = Counter(
            "stoker_tasks_leased",
            "Tasks given to runners: claimed, or handed over with the answer to a report.",
            ["by"],
            registry=registry,
        )
        self._attempts = Counter(
            "stoker_attempts_ended",
            "Attempts that did not settle their task well: failed, lost, timeout and so on.",
            ["outcome"],
            registry=registry,
        )
        self._seen = Seen(True, [], 0)
        registry.register(_Looked(self))
        ProcessCollector(registry=registry)

    def committed(self, verbs: Sequence[Verb], outcome: Outcome, seconds: float) -> None:
        self._size.observe(len(verbs))
        self._took.observe(seconds)
        for verb, count in Tally(type(verb).__name__ for verb in verbs).items():
            self._verbs.labels(verb.lower()).inc(count)
        self._count_leases(verbs, outcome)
        fold = outcome.fold
        for namespace, count in Tally(fold.runs[run].namespace for run in fold.new_runs).items():
            self._started.labels(self._name_of(namespace)).inc(count)
        ended = Tally((fold.runs[run].namespace, fold.runs[run].state) for run in fold.ended_runs)
        for (namespace, state), count in ended.items():
            self._ended.labels(self._name_of(namespace), RunState(state).name).inc(count)
        for how, count in Tally(attempt.outcome for attempt in fold.history).items():
            self._attempts.labels(how).inc(count)
        self._count_settled(fold)

    async def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        now = self._now_s()
        if now - self._asked_at >= FRESH_S:
            self._asked_at = now
            self._seen = await self._look()
        return generate_latest(self._registry)

    def looked(self) -> Iterable[Metric]:
        """What is not counted here, but known elsewhere."""
        yield GaugeMetricFamily("stoker_database_up", "Whether the database answers.", value=float(self._seen.up))
        yield GaugeMetricFamily("stoker_sessions", "Runners connected to this server.", value=self._seen.sessions)
        yield CounterMetricFamily("stoker_statements", "Statements.", value=self._store.statements)
        ready = GaugeMetricFamily(
            "stoker_tasks_ready", "Tasks that wait for a runner, in the database.", labels=["namespace", "kind", "lane"]
        )
        for namespace, kind, lane, count in self._seen.ready:
            ready.add_metric([namespace, kind, lane], count)
        yield ready

    def _count_leases(self, verbs: Sequence[Verb], outcome: Outcome) -> None:
        reported = sum(len(handed.tasks) for at, handed in outcome.handed.items() if isinstance(verbs[at], Exchange))
        claimed = sum(len(handed.tasks) for _, handed in outcome.waiters if handed is not None)
        if reported:
            self._leased.labels("report").inc(reported)
        if claimed:
            self._leased.labels("claim").inc(claimed)

    def _count_settled(self, fold: Picture) -> None:
        tally = Tally(
            (fold.runs[task.run].version, task.node, task.state)
            for task in fold.tasks.values()
            if task.state not in LIVE and fold.loaded.get(task.id) is not task
        )
        for (version, node, state), count in tally.items():
            self._settled.labels(*self._kind(fold, version, node), TaskState(state).name).inc(count)

    def _kind(self, fold: Picture, version: int, node: int) -> tuple[str, str]:
        found = self._kinds.get((version, node))
        if found is None:
            namespace = next(run.namespace for run in fold.runs.values() if run.version == version)
            found = self._bounded(self._name_of(namespace), fold.graphs[version].nodes[node].spec.kind)
            self._kinds[version, node] = found
        return found

    def _bounded(self, namespace: str, kind: str) -> tuple[str, str]:
        if (namespace, kind) not in self._named and len(self._named) >= MOST_KINDS:
            return OTHER, OTHER
        self._named.add((namespace, kind))
        return namespace, kind

    async def _look(self) -> Seen:
        try:
            rows = await self._store.read(lambda reader: reader.rows("ready_lanes", MOST_KINDS))
        except Unavailable:
            return Seen(False, [], self._sessions())
        return Seen(True, [self._lane(row) for row in rows], self._sessions())

    def _lane(self, row: Row) -> tuple[str, str, str, int]:
        lane, namespace, kind, count = row
        return (*self._bounded(self._name_of(namespace), kind), str(lane), count)


class _Looked:
    """What a registry asks."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics.looked()
