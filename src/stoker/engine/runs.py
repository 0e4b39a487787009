"""Runs: trigger, cancel, retry, wait, and their results."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from stoker.core.compiled import TRIGGER
from stoker.core.model import Run
from stoker.core.states import RunState
from stoker.core.template import Place
from stoker.core.values import NULL, BadPath
from stoker.core.views import RetryAnswer, RunRef, RunView, TriggerRequest
from stoker.engine import acting
from stoker.engine.acting import Note
from stoker.engine.alarm import Alarm
from stoker.engine.batch import Batches
from stoker.engine.catalog import Catalog
from stoker.engine.events import Hub
from stoker.engine.ids import Ids
from stoker.engine.inputs import Reading, Streaming
from stoker.engine.namespaces import Namespaces
from stoker.engine.peers import Peers
from stoker.engine.ports import Blobs, Store, Tx
from stoker.engine.start import Start, request_hash, start_of
from stoker.engine.transaction import Batch, Verb
from stoker.engine.versions import Versions
from stoker.engine.views import Views
from stoker.errors import Conflict, NoResult, NotFound, TooLarge

MOST_RUNS = 10_000  # of one trigger call
UNHEARD_S = 5.0  # between two looks at a run that may end on another server


class Trigger(Verb):
    """Start runs of known versions, all or none."""

    def __init__(self, namespace: int, starts: Sequence[Start], ids: Ids, traceparent: str | None = None) -> None:
        self._namespace = namespace
        self._traceparent = traceparent
        self._token = acting.token()
        self._starts = starts
        self._ids = ids
        self._answers: list[RunRef] = []

    async def decide(self, tx: Tx, batch: Batch) -> list[RunRef]:
        """Repeated, it takes the same ids: if runs have them, or get them meanwhile, it was committed."""
        if not self.replays:
            self._answers = []
        made = [ref.id for ref in self._answers if ref.created]
        if made and await tx.runs(made):
            return self._answers
        again = iter(made)
        known = await self._known(tx)
        answers: list[RunRef] = []
        for version, request, inputs, store, delay in self._starts:
            key = request.idempotency_key
            if key is not None and key in known:
                answers.append(RunRef(id=known[key], created=False))
                continue
            run = Run(
                id=next(again, 0) or self._ids.draw("run"),
                namespace=self._namespace,
                version=version.id,
                priority=request.priority,
                weight=request.weight,
                created_at=batch.fold.now,
                traceparent=self._traceparent,
                token=self._token,
            )
            batch.fold.trigger(run, version.graph, inputs, store, delay)
            if request.tags:
                batch.fold.new_tags[run.id] = request.tags
            if key is not None:
                known[key] = run.id
                await tx.execute("insert_run_key", self._namespace, key, run.id, request_hash(request))
            answers.append(RunRef(id=run.id))
        self._answers = answers  # only now: a replay that is undone half way has its ids yet
        return answers

    def note(self, answer: list[RunRef]) -> Note | None:
        made = [ref.id for ref in answer if ref.created]
        graphs = sorted({start.request.graph for start in self._starts})
        return Note([f"run:{run}" for run in made], {"graphs": graphs[:10]}) if made else None

    async def _known(self, tx: Tx) -> dict[str, int]:
        """The runs that earlier triggers with these keys made. Conflict if one of them asked for something else."""
        known: dict[str, int] = {}
        asked: dict[str, bytes] = {}
        for _, request, *_ in self._starts:
            key = request.idempotency_key
            if key is None:
                continue
            mine = request_hash(request)
            if key not in asked:
                for run, digest in await tx.execute("run_key", self._namespace, key):
                    known[key], asked[key] = run, digest
            if asked.setdefault(key, mine) != mine:
                by = f"run {known[key]}" if key in known else "another run of this call"
                raise Conflict(
                    f"the idempotency key {key!r} was used by {by} with another graph, other inputs, other tags "
                    "or another store.",
                    code="idempotency_mismatch",
                    place="idempotency_key",
                    remedy="Use a new key for a new run.",
                )
        return known


class Cancel(Verb):
    """Ask a run to stop."""

    def __init__(self, run: int) -> None:
        self.runs = (run,)

    async def decide(self, tx: Tx, batch: Batch) -> list[int]:
        """The sessions to tell."""
        await batch.settle()  # what was completed before the cancel has its consequences
        run = batch.run(self.runs[0])
        batch.fold.stop(run)
        return [row[0] for row in await tx.execute("leases_of_run", run.id) if row[0] is not None]

    def note(self, answer: list[int]) -> Note:
        return Note([f"run:{self.runs[0]}"])


class Runs:
    """What callers do with runs."""

    def __init__(
        self,
        store: Store,
        namespaces: Namespaces,
        catalog: Catalog,
        versions: Versions,
        batches: Batches,
        views: Views,
        blobs: Blobs,
        ids: Ids,
        hub: Hub,
        peers: Peers,
        alarm: Alarm,
    ) -> None:
        self._store = store
        self._namespaces = namespaces
        self._catalog = catalog
        self._versions = versions
        self._batches = batches
        self._views = views
        self._blobs = blobs
        self._ids = ids
        self._hub = hub
        self._peers = peers
        self._alarm = alarm

    async def trigger(
        self, namespace: str, requests: Sequence[TriggerRequest], traceparent: str | None = None
    ) -> list[RunRef]:
        """Start runs, all or none; inputs are checked first. `traceparent`: the span that they stand below."""
        if len(requests) > MOST_RUNS:
            raise TooLarge(f"one call triggers at most {MOST_RUNS} runs, not {len(requests)}.", code="too_many_runs")
        named = dict.fromkeys((request.graph, request.version) for request in requests)
        versions = {each: await self._catalog.version(namespace, *each) for each in named}
        starts = [start_of(versions[request.graph, request.version], request) for request in requests]
        number = await self._namespaces.existing(namespace)
        answer = await self._batches.submit(Trigger(number, starts, self._ids, traceparent))
        refs: list[RunRef] = answer.value
        return refs

    async def cancel(self, namespace: str, run: int) -> RunView:
        """Ask a run to stop; runners are told at once. The answer shows it `stopping`; it ends CANCELLED."""
        found = await self._existing(namespace, run)
        if found.state is RunState.RUNNING:
            await self.stop(run)
        return await self._views.run(namespace, run)

    async def stop(self, run: int) -> None:
        """The same for a run that is known to be there, without a look at it."""
        answer = await self._batches.submit(Cancel(run))
        self._peers.nudge(answer.value)
        self._alarm.at(0)

    async def retry(self, namespace: str, run: int, *, rerun_below: bool = False) -> RetryAnswer:
        """Offer again what failed or was cancelled; the run goes on."""
        from stoker.engine.again import RetryRun

        await self._existing(namespace, run)
        answer: RetryAnswer = (await self._batches.submit(RetryRun(run, rerun_below=rerun_below))).value
        return answer

    async def retry_task(
        self, namespace: str, task: int, *, rerun_below: bool = False, attempt: int | None = None, key: str = ""
    ) -> RetryAnswer:
        """Offer one task again that FAILED, or was pruned or cancelled; its run goes on.

        `attempt`: only while that is its last one. `key`: a second call with it is refused.
        """
        from stoker.engine.again import RetryTask

        await self._views.task(namespace, task)  # it is there, and here
        verb = RetryTask(task, rerun_below=rerun_below, attempt=attempt, key=key)
        answer: RetryAnswer = (await self._batches.submit(verb)).value
        return answer

    async def wait(self, namespace: str, run: int, wait_s: float) -> RunView:
        """The run, once it has ended or the time is up."""
        await self._ended(namespace, run, wait_s)
        return await self._views.run(namespace, run)

    async def result(self, namespace: str, run: int, wait_s: float = 0.0) -> bytes:
        """The JSON of the graph's result, once the run has ended.

        Conflict if it has not when the time is up, or if it failed; NoResult if what the result is made of is missing.
        """
        found = await self._ended(namespace, run, wait_s)
        if found.state is not RunState.SUCCEEDED:
            raise Conflict(
                f"run {run} is {found.state.name} and has no result.",
                code="no_result_yet" if found.state is RunState.RUNNING else "run_not_succeeded",
                remedy=f"See `stoker explain run:{run}`.",
            )
        version = await self._store.peek(lambda reader: self._versions.get(reader, found.version))
        binding = version.graph.spec.result
        if binding is None:
            return NULL
        streaming = Streaming(Reading(self._store), self._blobs, version.graph)
        try:
            return b"".join([chunk async for chunk in streaming.value(Place(run, TRIGGER, b""), binding)])
        except BadPath as error:
            from stoker.engine.missing import missing

            why = await self._store.read(lambda reader: missing(reader, run, version.graph))
            raise NoResult(
                f"run {run} SUCCEEDED without a result: {why or error}.",
                remedy=f"See `stoker explain run:{run}` for what was pruned or skipped.",
            ) from None

    async def _ended(self, namespace: str, run: int, wait_s: float) -> Run:
        """The run as it is once it has ended or the time is up. Now and then it is looked at, lest an end be missed."""
        while True:
            with self._hub.watching(run) as ended:  # watch before looking, so that no end is missed
                found = await self._existing(namespace, run)
                if found.state is not RunState.RUNNING or wait_s <= 0:
                    return found
                pause = min(wait_s, UNHEARD_S) if self._store.shared else wait_s
                await asyncio.wait([ended], timeout=pause)
                if ended.done():
                    return await self._existing(namespace, run)
                wait_s -= pause

    async def _existing(self, namespace: str, run: int) -> Run:
        number = await self._namespaces.existing(namespace)
        for found in await self._store.peek(lambda reader: reader.runs([run])):
            if found.namespace == number:
                return found
        raise NotFound(
            f"the namespace {namespace!r} has no run {run}.",
            code="no_run",
            place=f"runs/{run}",
            remedy="`stoker runs list` lists them.",
        )
