"""The state machine: one rule a verb, told to every place at once, judged by the oracle after every step.

A rule draws what is said, has `Twins` say it, and tells `World` what was answered. `_after` then reads the tables of
all places, compares them with each other, with the oracle, and with a brute-force look at every join.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from functools import wraps
from random import Random
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from core.oracle import check, check_end
from core.player import slices_of
from engine.plant import NS, Hand, encoded
from proofs.plan import KINDS, Plan, drawn
from proofs.twins import Place, Tables, Twins, memories
from proofs.world import LEASE, Promised, World
from stoker.core.duration import Micros
from stoker.core.model import CLOSED_GRACE, SLICE
from stoker.core.protocol import (
    ClaimAnswer,
    Complete,
    ErrorInfo,
    Fail,
    Held,
    Item,
    Log,
    Progress,
    Prune,
    Release,
    Report,
    ReportAnswer,
    Requeue,
    RunnerInfo,
)
from stoker.core.states import RunState, TaskState
from stoker.core.views import PushRequest, TriggerRequest
from stoker.errors import Conflict, StokerError

MANY = 50  # tasks; from here on nothing fans out any more
STEP: Micros = 1_001  # of each step
ENDLESS = 400
PATIENCE = 500  # looks
OFFERS = {"all": ("one", "many"), "ones": ("one",), "manies": ("many",)}
NOBODY = 2**40  # the id of no task

SAID = "cccccccfnprqlgu"  # see `_outcome`

Step = Callable[..., None]


def only_if(fact: Callable[[Any], object]) -> Callable[[Step], Step]:
    """A step that is left out where it cannot be taken. What is drawn does not depend on it: two servers may race."""

    def wrap(step: Step) -> Step:
        @wraps(step)
        def taken(machine: Any, *given: Any, **drawn: Any) -> None:
            if fact(machine):
                step(machine, *given, **drawn)

        return taken

    return wrap


pick = st.integers(0, 63)
server = st.integers(0, 1)


class Machine(RuleBasedStateMachine):
    """`twins` is made anew for each example by who runs this."""

    def __init__(
        self, make: Callable[[asyncio.AbstractEventLoop], Awaitable[Twins]], met: Counter[str], *, alone: bool
    ) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.twins: Twins = self.runner.run(self._made(make))
        self.alone = alone  # whether one server knows all, so that nothing waits for a hint
        self.world = World(met, alone=alone)
        self.stack = ExitStack()
        self.plans: dict[int, Plan] = {}
        self.tables: Tables
        self.dice = Random(0)
        self.sessions: dict[str, int] = {}
        self.heard: dict[str, Micros] = {}
        self.closed: dict[str, Micros] = {}
        self.said: list[tuple[str, Report]] = []
        self.retried: set[int] = set()
        self.introduced: list[set[str]] = [set(), set()]  # by server: whose session it wrote since it started
        self.started: list[Micros] = [self.twins.clock.now()] * 2
        self.patient = 0
        self.count = 0
        self.sound = False  # whether the last step was found to be right

    @staticmethod
    async def _made(make: Callable[..., Awaitable[Twins]]) -> Twins:
        return await make(asyncio.get_running_loop())

    def teardown(self) -> None:
        try:
            if self.sound:
                self._finish()
        finally:
            self.stack.close()
            self.runner.run(self._stop())
            self.runner.close()

    async def _stop(self) -> None:
        for place in self.twins.places:
            await place.stop()

    # --- what a step is made of ---

    def same(self, act: Callable[[Place], Awaitable[Any]]) -> Any:
        """Have every place do it."""
        self._begin_step()
        return self.runner.run(self.twins.same(act))

    def _begin_step(self) -> None:
        """A moment later than the step before."""
        if self.sound:
            self.sound = False
            self.twins.clock.time += STEP
            self.world.now = self.twins.clock.now()

    def _after(self) -> None:
        """A look at everything, until nobody waits in vain: who waits is woken a moment later."""
        self._look()
        for _ in range(PATIENCE):
            if not (self.alone and self._in_vain()):
                break
            self.runner.run(asyncio.sleep(0.01))
            self.world.claims = True
            self._look()
        else:
            raise AssertionError(f"{self._in_vain()} wait, while they could have tasks")
        self.world.unbound = False
        self.sound = True

    def _in_vain(self) -> list[str]:
        if self.world.unbound:
            return []
        waiting = self.twins.places[0].waiting
        return [name for name in waiting if self.world.claimable(OFFERS[self._offers(name)])]

    def _look(self) -> None:
        """What held claims were answered, then all tables."""
        for name, answer in self.runner.run(self.twins.same(lambda place: place.answered())).items():
            self._handed(name, answer)
        self.tables = self.runner.run(self.twins.tables())
        spreading = {row.run for row in self.tables.spreads.values() if row.state is TaskState.READY}
        self.world.compare(self.tables.tasks, self.tables.runs, spreading)
        for memory in memories(self.tables, self.plans, self.retried):
            check(memory)
        self._check_items()
        assert {tuple(row) for row in self.tables.logs} == self.world.logs

    def _check_items(self) -> None:
        """A task has the items of its one accepted result, and those only."""
        for id_, bodies in self.world.accepted.items():
            task = self.tables.tasks[id_]
            keys = [key for key in self.tables.items if key[:3] == (task.run, task.node, task.branch)]
            assert [self.tables.items[key] for key in keys] == bodies, f"{task} was accepted with {bodies}"
            assert task.state is TaskState.SUCCEEDED

    def _offers(self, name: str) -> str:
        return name.partition(" ")[0]

    def hand(self, name: str) -> Hand:
        return self.twins.places[0].hands[name]

    def _handed(self, name: str, answer: ClaimAnswer | ReportAnswer) -> None:
        self.world.handed(self.sessions[name], answer.number, answer.tasks)
        if answer.tasks:
            self.heard[name] = self.world.now  # what is given lasts from when it is given

    def _heard(self, name: str, server: int) -> None:
        self.heard[name] = self.world.now
        self.closed.pop(name, None)
        for place in self.twins.places:
            place.hands[name].closed = False

    # --- the world before the first step ---

    @initialize(seed=st.integers(0, 2**32), slices=st.sampled_from((1, 2, 3, SLICE)))
    def begin(self, seed: int, slices: int) -> None:
        self.dice = Random(seed)
        self.stack.enter_context(slices_of(slices))
        for offers in OFFERS:
            self._hire(offers)
        self._push(seed)
        self._trigger([None], 0, odd=True)

    def _hire(self, offers: str) -> str:
        self.count += 1
        name, secret = f"{offers} {self.count}", f"{self.count:032x}"
        for place in self.twins.places:
            place.hire(name, secret, RunnerInfo(name=name, kinds=list(OFFERS[offers])))
        return name

    def _push(self, seed: int) -> None:
        plan = drawn(seed)
        request = PushRequest(graph=plan.spec, kinds=KINDS)
        self.same(lambda place: place.servers[0].engine.catalog.push(NS, request))
        ((version,),) = self.runner.run(self.twins.places[0].servers[0].sql("SELECT MAX(id) FROM version"))
        self.plans[version] = plan

    @property
    def names(self) -> list[str]:
        return list(self.twins.places[0].hands)

    def _name(self, pick: int) -> str:
        return self.names[pick % len(self.names)]

    # --- callers ---

    @rule(seed=st.integers(0, 2**32))
    @only_if(lambda self: len(self.plans) < 3)
    def push(self, seed: int) -> None:
        """A new version of the graph; runs go on with theirs."""
        self._push(seed)
        self._after()

    @rule(keys=st.lists(st.sampled_from((None, None, "a", "b")), min_size=1, max_size=2), odd=st.booleans(), at=server)
    @only_if(lambda self: len(self.world.runs) < 4)
    def trigger(self, keys: list[str | None], odd: bool, at: int) -> None:
        """A batch of runs; a key used again gives the same run, or refuses all if it asks for something else."""
        self._trigger(keys, at, odd=odd)

    def _trigger(self, keys: Sequence[str | None], at: int, *, odd: bool) -> None:
        version, plan = list(self.plans.items())[-1]
        known = {version: number for number, version in enumerate(self.plans, 1)}
        inputs = {"xs": encoded([{"n": 1, "parts": [1, 2]}])}  # as the brute-force look at conditions has it
        wanted = [(key, f"{known[version]} {odd}") for key in keys]
        requests = [
            TriggerRequest(
                graph="random",
                version=known[version],
                inputs=inputs,
                tags={"odd": "yes"} if odd else {},
                idempotency_key=key,
            )
            for key in keys
        ]
        expected = self.world.trigger(plan, wanted)
        answer = self.same(lambda place: self._server(place, at).engine.runs.trigger(NS, requests))
        if expected is None:
            assert isinstance(answer, Conflict)
            assert answer.code == "idempotency_mismatch"
        else:
            assert not isinstance(answer, StokerError), answer
            for ref, before in zip(answer, expected, strict=True):
                assert before in (None, ref.id)
            self.world.triggered(plan, wanted, [ref.id for ref in answer])
        self._after()

    def _server(self, place: Place, at: int) -> Any:
        return place.servers[at % len(place.servers)]

    @rule(which=pick, sure=st.integers(0, 1), at=server)
    @only_if(lambda self: self.world.runs)
    def cancel(self, which: int, sure: int, at: int) -> None:
        """Ask a run to stop, now and then."""
        if sure:
            return
        run = list(self.world.runs)[which % len(self.world.runs)]
        self.same(lambda place: self._server(place, at).engine.runs.cancel(NS, run))
        self.world.cancel(run)
        self._after()

    @rule(which=pick, at=server)
    @only_if(lambda self: any(run.state is not RunState.RUNNING for run in self.world.runs.values()))
    def retry(self, which: int, at: int) -> None:
        """Offer again what failed or was cancelled in a run; only an ended run with such tasks can be retried."""
        run = list(self.world.runs)[which % len(self.world.runs)]
        self._begin_step()
        unmade = any(row.run == run and row.state is TaskState.CANCELLED for row in self.tables.spreads.values())
        refused = self.world.retry(run, unmade=unmade)
        if not refused:
            self.retried.add(run)
        self._refusable(refused, at, lambda runs: runs.retry(NS, run), "runs")

    @rule(which=pick, sure=st.integers(0, 2), at=server)
    @only_if(lambda self: self.world.tasks)
    def cancel_task(self, which: int, sure: int, at: int) -> None:
        """Ask one task to end, now and then."""
        if sure:
            return
        self._begin_step()
        self._refusable(self.world.cancel_task(task := self._task(which)), at, lambda tasks: tasks.cancel(NS, task))

    @rule(which=pick, at=server)
    @only_if(lambda self: self.world.tasks)
    def retry_task(self, which: int, at: int) -> None:
        """Offer one task again that is at its end, if it may be."""
        self._begin_step()
        run = self.world.tasks[task := self._task(which)].run
        refused = self.world.retry_task(task, stopped=self.tables.runs[run].cancel_at is not None)
        if not refused:
            self.retried.add(run)
        self._refusable(refused, at, lambda runs: runs.retry_task(NS, task), "runs")

    def _task(self, pick: int) -> int:
        return list(self.world.tasks)[pick % len(self.world.tasks)]

    def _refusable(
        self, refused: str | None, at: int, call: Callable[[Any], Awaitable[Any]], of: str = "tasks"
    ) -> None:
        answer = self.same(lambda place: call(getattr(self._server(place, at).engine, of)))
        if refused:
            assert isinstance(answer, Conflict), f"{answer}, not {refused}"
            assert answer.code == refused
        else:
            assert not isinstance(answer, StokerError), answer
        self._after()

    # --- runners ---

    @rule(offers=st.sampled_from(tuple(OFFERS)))
    @only_if(lambda self: len(self.names) < 7)
    def hire(self, offers: str) -> None:
        """Another runner process. Those before it are perhaps dead, perhaps late."""
        self._hire(offers)

    @rule(which=pick, want=st.integers(0, 3), alone=st.booleans(), heard=st.integers(0, 5), at=server)
    def claim(self, which: int, want: int, alone: bool, heard: int, at: int) -> None:
        """A claim that is answered at once. Its answer may be lost on the way (`heard` 0)."""
        name = self._name(which)
        if name in self.twins.places[0].waiting:
            return
        self._introduce(name, at)
        self._claimed_sync(name, alone=alone)
        answer = self.same(
            lambda place: self._said(place.hand(name, at), lambda hand: hand.ask(want, alone=alone), heard)
        )
        assert not isinstance(answer, StokerError), answer
        self._heard(name, at)
        assert len(answer.tasks) <= want
        self._handed(name, answer)
        kinds = OFFERS[self._offers(name)]
        assert {task.kind for task in answer.tasks} <= set(kinds)
        self._after()
        if self.alone and want > len(answer.tasks) and not answer.stop and not self.world.unbound:
            assert not self.world.claimable(kinds), f"{name} could have more than {len(answer.tasks)} tasks"

    def _introduce(self, name: str, at: int) -> None:
        """The first claim of a process makes its session."""
        if name in self.sessions:
            return
        answer = self.same(lambda place: place.hand(name, at).ask(0))
        self.sessions[name] = answer.session_id
        self.introduced[at].add(name)

    def _claimed_sync(self, name: str, *, alone: bool) -> None:
        self._begin_step()
        hand = self.hand(name)
        self.world.claims = True
        self.world.keep(self.sessions[name], hand.listed, 2**62 if alone else hand.read, [], surely=False)

    @staticmethod
    async def _said(hand: Hand, call: Callable[[Hand], Awaitable[Any]], heard: int) -> Any:
        """A call of a runner; one whose answer is lost leaves the runner as it was."""
        before = dict(hand.held), hand.read
        answer = await call(hand)
        if not heard:
            hand.held, hand.read = before
        return answer

    claim_again = claim

    @rule(which=pick, want=st.integers(1, 3), at=server)
    def wait(self, which: int, want: int, at: int) -> None:
        """Hold a claim open: whatever may be had is had at once, now and as long as it waits."""
        name = self._name(which)
        if name in self.twins.places[0].waiting:
            return
        self._introduce(name, at)
        self._claimed_sync(name, alone=False)
        self.world.waited.add(self.sessions[name])
        self.same(lambda place: place.wait(name, at, want))
        self._heard(name, at)
        self.world.claims = True
        self._after()

    @rule(which=pick)
    @only_if(lambda self: self.twins.places[0].waiting)
    def hang_up(self, which: int) -> None:
        """The stream of a held claim closes: the leases end in 5 s unless the runner is heard of."""
        waiting = list(self.twins.places[0].waiting)
        name = waiting[which % len(waiting)]
        self.same(lambda place: self._hung_up(place, name))
        self.closed[name] = self.world.now
        self._after()
        until = self.tables.ends[self.sessions[name]]
        assert until <= self.world.now + CLOSED_GRACE, "a closed connection leaves a lease of 5 s at most"

    @staticmethod
    async def _hung_up(place: Place, name: str) -> None:
        hand = place.hands[name]
        await place._end_waiting([name])
        hand.closed = True
        await hand.plant.engine.leases.closed(hand.secret)

    @rule(
        who=pick,
        said=st.lists(st.tuples(pick, st.sampled_from(SAID)), min_size=1, max_size=3),
        want=st.sampled_from((0, 0, 1, 3)),
        heard=st.integers(0, 5),
        at=server,
    )
    @only_if(lambda self: self._holding)
    def report(self, who: int, said: list[tuple[int, str]], want: int, heard: int, at: int) -> None:
        """A runner says what became of some of what it holds."""
        name = self._holding[who % len(self._holding)]
        held = self.hand(name).listed
        reports = {held[each % len(held)]: verb for each, verb in said}
        self._exchange(name, [self._outcome(verb, lease) for lease, verb in reports.items()], want, heard, at)

    report_again = report  # most of what happens

    @property
    def _holding(self) -> list[str]:
        return [name for name in self.names if self.hand(name).held]

    @rule(which=pick, who=pick, own=st.integers(0, 3), at=server)
    @only_if(lambda self: self.said and self.sessions)
    def repeat(self, which: int, who: int, own: int, at: int) -> None:
        """Something said before is said again, late; perhaps by one that never held the task (`own` 0), or of none."""
        name, report = self.said[-1 - which % len(self.said)]
        if not own:
            name = list(self.sessions)[who % len(self.sessions)]
        nothing = [Release(task=NOBODY, attempt=1), Progress(task=NOBODY, attempt=1)] if own == 1 else []
        self._exchange(name, [report, *nothing], 0, 1, at)

    @rule(who=pick, want=st.sampled_from((0, 1)), at=server)
    @only_if(lambda self: self.sessions)
    def beat(self, who: int, want: int, at: int) -> None:
        self._exchange(list(self.sessions)[who % len(self.sessions)], [], want, 1, at)

    def _exchange(self, name: str, reports: list[Report], want: int, heard: int, at: int) -> None:
        """Reports, a beat and a wish in one call. Where a failure stops the run, what it leaves of the next is open."""
        if any(self.world.runs[task.run].plan.stops for task in self._tasks_of(reports)):
            reports = reports[:1]
        hand, world, session = self.hand(name), self.world, self.sessions[name]
        listed, read = hand.listed, hand.read
        answer: ReportAnswer = self.same(
            lambda place: self._said(place.hand(name, at), lambda hand: hand.exchange(*reports, want=want), heard)
        )
        assert not isinstance(answer, StokerError), answer
        for report, receipt in zip(reports, answer.receipts, strict=True):
            allowed = world.report(session, report)
            assert receipt.status in allowed, f"{report} was {receipt}, not {allowed}"
        self.said += [(name, report) for report in reports]
        world.keep(session, listed, read, reports, surely=True)
        self._heard(name, at)
        world.claims = True
        assert len(answer.tasks) <= want
        self._handed(name, answer)
        self._check_stops(answer, listed, session, reports)
        self._after()

    def _tasks_of(self, reports: Sequence[Report]) -> list[Promised]:
        return [self.world.tasks[report.task] for report in reports if report.task in self.world.tasks]

    def _check_stops(self, answer: ReportAnswer, listed: list[Held], session: int, reports: list[Report]) -> None:
        """A runner learns of everything it works on in vain."""
        told = {(stop.task, stop.attempt): stop.reason for stop in answer.stop}
        over = {report.task for report in reports if not isinstance(report, Progress | Log)}
        for lease in listed:
            if lease.task in over:
                continue
            task = self.world.tasks[lease.task]
            holds = (task.attempt, task.session, task.state) == (lease.attempt, session, TaskState.LEASED)
            wanted = None if holds else "stale"
            if holds and self.world._cancelling(task):
                wanted = "cancelled"
            stops = self.world.runs[task.run].plan.stops  # perhaps since one of these reports
            if lease.task not in self.world.maybe and not (holds and stops):
                assert told.get((lease.task, lease.attempt)) == wanted

    def _outcome(self, verb: str, lease: Held) -> Report:
        """What a runner says of a task. `u` is what neither schema nor edge can take."""
        names: dict[str, Any] = {"task": lease.task, "attempt": lease.attempt}
        match verb:
            case "f" | "n":
                return Fail(**names, error=ErrorInfo(message="no"), retryable=verb == "f")
            case "p":
                return Prune(**names, reason="why")
            case "r":
                return Requeue(**names, after_s=self.dice.choice((0, 2)))
            case "q":
                return Release(**names)
            case "l":
                return Log(**names, seq=self.dice.randint(0, 2), text="x")
            case "g":
                return Progress(**names, fraction=0.5)
            case "u":
                return Complete(**names, items=[Item(value=encoded(1))])
        task = self.world.tasks[lease.task]
        return self._completion(lease, self.world.runs[task.run].plan, task.node)

    def _completion(self, lease: Held, plan: Plan, node: str) -> Complete:
        many = plan.kind(node) == "many"
        number = self.dice.choice((0, 1, 2)) if many else self.dice.choices((1, 0, 2), (38, 1, 1))[0]
        whole = () in plan.expansions(node)
        values = [[self._element(1)] * 2 if whole else self._element(2) for _ in range(number)]
        return Complete(task=lease.task, attempt=lease.attempt, items=[Item(value=encoded(value)) for value in values])

    def _element(self, depth: int) -> object:
        small = len(self.world.tasks) > MANY
        width = self.dice.randint(0, 1) if small else self.dice.choice((0, 1, 2, 2))
        return {"n": width, "parts": [self._element(depth - 1) for _ in range(width)] if depth else []}

    @rule(who=pick, sure=st.integers(0, 2), at=server)
    @only_if(lambda self: self.sessions)
    def leave(self, who: int, sure: int, at: int) -> None:
        """A runner ends in order: all it holds is offered again at once."""
        name = list(self.sessions)[who % len(self.sessions)]
        if sure or name in self.twins.places[0].waiting:
            return
        self.same(lambda place: self._left(place, name, at))
        self.world.leave(self.sessions[name])
        self._after()

    @staticmethod
    async def _left(place: Place, name: str, at: int) -> None:
        hand = place.hand(name, at)
        await hand.plant.engine.leases.leave(NS, hand.secret)
        hand.drop()

    # --- time and death ---

    @rule(seconds=st.sampled_from((0.001, 1, 4, 6, 11, 21, 21, 31, 31)), at=server)
    def pass_time(self, seconds: float, at: int) -> None:
        """Time passes; then one server does what is due."""
        self.twins.clock.advance(seconds)
        self._begin_step()
        now = self.world.now
        over = {}
        for name, session in self.sessions.items():
            until = self.tables.ends[session]
            self._check_lease(name, until)
            if until < now:
                known = name in self.introduced[at]
                over[session] = known or now >= self.started[at % len(self.twins.places[0].servers)] + LEASE
        self.same(lambda place: self._ticked(place, at))
        self.world.tick(over)
        self._after()
        self._check_reaped(now, at)

    def _check_lease(self, name: str, until: Micros) -> None:
        """A lease lasts at most 20 s from the last word of its runner, 5 s from the end of its connection."""
        holds = any(
            task.session == self.sessions[name] and task.state is TaskState.LEASED
            for task in self.tables.tasks.values()
        )
        if holds and name in self.heard:
            assert until <= self.heard[name] + LEASE + STEP

    def _check_reaped(self, now: Micros, at: int) -> None:
        """Nothing is leased any more to who was not heard of for 20 s, unless the server has only just started."""
        if now < self.started[at % len(self.twins.places[0].servers)] + LEASE:
            return
        silent = {
            self.sessions[name]
            for name, heard in self.heard.items()
            if now > heard + LEASE + STEP and name not in self.twins.places[0].waiting
        }
        left = [
            task for task in self.tables.tasks.values() if task.session in silent and task.state is TaskState.LEASED
        ]
        assert not left, f"leased to runners that were not heard of: {left}"

    async def _ticked(self, place: Place, at: int) -> None:
        await self._server(place, at).tick()

    @rule(at=server, sure=st.integers(0, 4))
    def crash(self, at: int, sure: int) -> None:
        """A server is killed and started again, now and then."""
        if sure:
            return
        at %= len(self.twins.places[0].servers)
        self.same(lambda place: place.crash(at))
        self.started[at] = self.world.now
        self.introduced[at] = set()
        self._after()

    # --- the end ---

    def _finish(self) -> None:
        """One runner dies with what it has; from there on everything works, and every run must end."""
        for name in self.names:
            if name in self.twins.places[0].waiting:
                self.hang_up(list(self.twins.places[0].waiting).index(name))
        self.claim(0, 2, alone=True, heard=1, at=0)
        self.pass_time(31, at=0)
        for _ in range(ENDLESS):
            for name in self.names[:3]:
                self.claim(self.names.index(name), 50, alone=True, heard=1, at=0)
                said = [self._outcome(self.dice.choice(SAID), lease) for lease in self.hand(name).listed]
                if said:
                    self._exchange(name, said, 0, 1, 0)
            if all(run.state is not RunState.RUNNING for run in self.world.runs.values()):
                break
            self.pass_time(3, at=0)
        for memory in memories(self.tables, self.plans, self.retried):
            check_end(memory)
