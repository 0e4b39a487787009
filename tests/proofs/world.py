"""The oracle of the state machine: what the rules of the engine promise of every task and run, in plain words.

It is written from the rules, not from the engine: one method per verb, on a few dicts. Where the rules leave something
open (may a claim revive what its runner still lists?) both ends are allowed, and what is seen is taken over. What
stands where in a graph is not told here but by the brute force of `core.oracle`, which looks at all tasks at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from proofs.plan import GATED, MOST, Plan
from stoker.core.duration import SECOND, Micros
from stoker.core.model import Run, Task
from stoker.core.protocol import Assignment, Complete, Fail, Held, Log, Progress, Prune, Release, Report, Requeue
from stoker.core.states import RunState, Stopping, TaskState, Verb

LEASE = 20 * SECOND
GRACE = 30 * SECOND
LIVE = (TaskState.READY, TaskState.LEASED)
VERBS = {Complete: Verb.COMPLETE, Fail: Verb.FAIL, Prune: Verb.PRUNE, Requeue: Verb.REQUEUE, Release: Verb.RELEASE}
Key = tuple[int, int]  # task, attempt


@dataclass(frozen=True, kw_only=True)
class Promised:
    """A task as the rules leave it. `ended`: what ended its last attempt; `session`: who made that."""

    run: int
    node: str
    state: TaskState = TaskState.READY
    attempt: int = 0
    failures: int = 0
    losses: int = 0
    session: int | None = None
    ended: Verb = Verb.NONE
    due: Micros | None = None
    deadline: Micros | None = None
    expires: Micros | None = None
    asked: Micros | None = None  # when its cancel was asked for
    withheld: bool = False

    def after(self, state: TaskState, ended: Verb, **more: Any) -> Promised:
        return replace(self, state=state, ended=ended, due=None, deadline=None, **more)


@dataclass
class Lent:
    """A lease: with which answer of the session it came, when it was claimed."""

    answer: int
    at: Micros


@dataclass
class RunModel:
    plan: Plan
    state: RunState = RunState.RUNNING
    stopping: Stopping = Stopping.NO
    cancel_at: Micros = 0
    failed: int = 0  # tasks that count as failures


class World:
    """Everything promised so far. `compare` takes over what it sees, once that is found to be right."""

    def __init__(self, met: Counter[str], *, alone: bool) -> None:
        self.alone = alone  # else another server, told by a hint, may have handed something out just before a cancel
        self.cancelled: set[int] = set()  # runs, by this step
        self.waited: set[int] = set()  # sessions that held a claim open
        self.met = met  # how often a task went which way
        self.now: Micros = 0
        self.runs: dict[int, RunModel] = {}
        self.tasks: dict[int, Promised] = {}
        self.maybe: dict[int, list[Promised]] = {}  # other ends that the rules allow
        self.lent: dict[Key, Lent] = {}
        self.accepted: dict[int, list[bytes]] = {}  # by task: the items of its one accepted result
        self.keys: dict[str, tuple[str, int]] = {}  # idempotency keys: what was asked, and which run it made
        self.logs: set[tuple[int, int, int]] = set()
        self.unlocked: set[int] = set()  # runs in which this step may make tasks
        self.reopened: set[int] = set()  # runs in which this step may delete SKIPPED tasks
        self._last: dict[int, TaskState] = {}
        self._offered: set[int] = set()  # tasks that were READY once
        self.unbound = False  # whether this step met inputs that cannot be bound
        self.claims = False  # whether this step hands out tasks

    # --- runs ---

    def trigger(self, plan: Plan, wanted: Sequence[tuple[str | None, str]]) -> list[int | None] | None:
        """The runs of these keys; None for a new one. None for all: a key was used for something else."""
        found: list[int | None] = []
        here: dict[str, str] = {}
        for key, what in wanted:
            known = self.keys.get(key) if key is not None else None
            before = known[0] if known else here.get(key or "")
            if key is not None and before not in (None, what):
                return None
            if key is not None:
                here[key] = what
            found.append(known[1] if known else None)
        return found

    def triggered(self, plan: Plan, wanted: Sequence[tuple[str | None, str]], runs: Sequence[int]) -> None:
        for (key, what), run in zip(wanted, runs, strict=True):
            if run not in self.runs:
                self.runs[run] = RunModel(plan)
                self.unlocked.add(run)
            if key is not None:
                self.keys[key] = (what, run)

    def cancel(self, run: int) -> None:
        found = self.runs[run]
        if found.state is RunState.RUNNING and not found.stopping:
            found.stopping, found.cancel_at = Stopping.CANCEL, self.now
            self.cancelled.add(run)

    def cancel_task(self, id_: int) -> str | None:
        """Ask one task to end: at once if nobody runs it, else its runner has so long; else why not."""
        task = self.tasks[id_]
        if task.state not in LIVE:
            return None if task.state is TaskState.CANCELLED else "already_settled"
        if self._cancelling(task):
            return None
        if task.state is TaskState.LEASED:
            self.tasks[id_] = replace(task, asked=self.now, deadline=_first(self.now + GRACE, task.deadline))
        else:
            asked = replace(task, asked=self.now, attempt=task.attempt + 1, session=None)
            self.tasks[id_] = asked.after(TaskState.CANCELLED, Verb.CANCEL)
        self.unlocked.add(task.run)
        return None

    def retry_task(self, id_: int, *, stopped: bool) -> str | None:
        """Offer one task again that failed, or was cancelled or pruned; else why not. `stopped`: its run was."""
        task, run = self.tasks[id_], self.runs[self.tasks[id_].run]
        again = self._renewed(task)
        if refused := self._not_again(id_, stopped=stopped):
            return refused
        anew = self._unlisted(id_)  # its list is looked up once more
        if not anew:
            self.tasks[id_] = again
        run.state = RunState.RUNNING
        run.failed = sum(self._bad(self.tasks[other]) for other in self._of(task.run) if not (anew and other == id_))
        self.unlocked.add(task.run)
        self.reopened.add(task.run)
        return None

    def _not_again(self, id_: int, *, stopped: bool) -> str | None:
        task = self.tasks[id_]
        reasons = (
            (task.state in LIVE, "not_settled"),
            (task.state is TaskState.SUCCEEDED, "succeeded"),
            (self.runs[task.run].stopping is not Stopping.NO, "stopping"),
            (stopped, "run_was_stopped"),
            (task.state is TaskState.SKIPPED, "skipped"),
            (self.runs[task.run].plan.inline(task.node), "inline"),
            (id_ not in self._offered and not self._unlisted(id_), "failed_as_made"),
            (self._spent(task), "attempts_exhausted"),
        )
        return next((code for holds, code in reasons if holds), None)

    def retry(self, run: int, *, unmade: bool) -> str | None:
        """Offer again what failed or was cancelled; else why not. `unmade`: whether tasks were cancelled unmade."""
        found = self.runs[run]
        if found.state is RunState.RUNNING:
            return "still_running"
        again = [task for task in self._of(run) if self._stands(task)]
        held = [task for task in self._of(run) if self.tasks[task].withheld]
        listed = any(self._unlisted(task) for task in self._of(run))  # their lists are looked up once more
        if not (again or held or unmade or listed):
            own = [self.tasks[task] for task in self._of(run)]
            spent = any(task.state is TaskState.FAILED and self._spent(task) for task in own)
            return "attempts_exhausted" if spent else "nothing_to_retry"
        for task in again:
            self.tasks[task] = self._renewed(self.tasks[task])
        for task in held:
            self.tasks[task] = replace(self.tasks[task], withheld=False)
        found.state, found.stopping = RunState.RUNNING, Stopping.NO
        found.failed = sum(self._bad(self.tasks[task]) for task in self._of(run) if not self._unlisted(task))
        self.unlocked.add(run)
        self.reopened.add(run)
        return None

    def _renewed(self, task: Promised) -> Promised:
        """A task offered anew by hand: what it spent and its times begin anew."""
        total = self.runs[task.run].plan.time(task.node, "task_timeout")
        expires = None if total is None else self.now + total
        return self._ready(replace(task, failures=0, losses=0, asked=None, expires=expires), Verb.NONE)

    def _ready(self, task: Promised, verb: Verb, pause: Micros = 0) -> Promised:
        """Offered again, perhaps after a pause; only what is offered counts as waiting."""
        if pause:
            return replace(task.after(TaskState.READY, verb), due=self.now + pause, deadline=task.expires)
        return replace(task.after(TaskState.READY, verb), deadline=self._patience(task))

    def _patience(self, task: Promised) -> Micros | None:
        queue = self.runs[task.run].plan.time(task.node, "queue_timeout")
        return _first(None if queue is None else self.now + queue, task.expires)

    def _go_on(self, task: Promised, verb: Verb, pause: Micros = 0) -> Promised:
        """One more attempt, if the kind allows so many."""
        most = self.runs[task.run].plan.max_attempts(task.node)
        if most is not None and task.attempt >= most:
            return task.after(TaskState.FAILED, verb)
        return self._ready(task, verb, pause)

    def _cancelling(self, task: Promised) -> bool:
        return task.asked is not None or self.runs[task.run].stopping is not Stopping.NO

    def _stands(self, task: int) -> bool:
        """Whether it was offered before: what failed as it was made has nothing to be tried again."""
        found = self.tasks[task]
        ended = found.state in (TaskState.FAILED, TaskState.CANCELLED)
        return ended and task in self._offered and not self._spent(found)

    def _unlisted(self, task: int) -> bool:
        """Whether it stands for the tasks of a list that could not be had."""
        found = self.tasks[task]
        plan = self.runs[found.run].plan
        failed = found.state is TaskState.FAILED and task not in self._offered
        return failed and plan.nodes[found.node].expand is not None and not plan.inline(found.node)

    def _spent(self, task: Promised) -> bool:
        """Whether its kind allows it no further attempt."""
        most = self.runs[task.run].plan.max_attempts(task.node)
        return most is not None and task.attempt >= most

    def _of(self, run: int) -> list[int]:
        return [id_ for id_, task in self.tasks.items() if task.run == run]

    # --- what runners say ---

    def report(self, session: int, report: Report) -> set[str]:
        """What may be answered to a report; the first rule that applies decides what becomes of the task."""
        if isinstance(report, Progress | Log):
            return self._noted(session, report)
        if report.task not in self.tasks:
            return {"refused"}
        task = self.tasks[report.task]
        if (task.attempt, task.session) != (report.attempt, session):
            return {"stale"}
        held = self._held(task)
        if held is None:
            return self._repeated(task, report)
        self.unlocked.add(task.run)
        self.tasks[report.task], status = self._reported(held, report)
        if isinstance(report, Complete) and status == "accepted":
            assert report.task not in self.accepted, "one result is accepted"
            self.accepted[report.task] = [bytes(item.value) for item in report.items]
        return {status}

    def _repeated(self, task: Promised, report: Report) -> set[str]:
        """A repeat is known by what ended the attempt: an unfit result made it a failure."""
        verb = VERBS[type(report)]
        if not isinstance(report, Complete) or self._fits(task, report):
            return {"accepted"} if task.ended is verb else {"stale"}
        if task.ended is Verb.FAIL:
            return {"stale", "invalid"}
        return {"accepted", "stale"} if task.ended is verb else {"stale"}

    def _held(self, task: Promised) -> Promised | None:
        """The task as its holder has it: leased, or lost and not claimed since, with the loss taken back."""
        if task.state is TaskState.LEASED:
            return task
        run = self.runs[task.run]
        if task.state is not TaskState.READY or task.ended is not Verb.LOSE or run.stopping:
            return None
        failures = task.failures - run.plan.losses_are_failures(task.node)
        return replace(
            task, state=TaskState.LEASED, ended=Verb.NONE, losses=task.losses - 1, failures=failures, due=None
        )

    def _reported(self, task: Promised, report: Report) -> tuple[Promised, str]:
        verb = VERBS[type(report)]
        match report:
            case Complete() if self._fits(task, report):
                stopping = self.runs[task.run].stopping is not Stopping.NO
                return replace(task.after(TaskState.SUCCEEDED, verb), withheld=stopping), "accepted"
            case Complete():
                return self._failed(task, retryable=True), "invalid"
            case Fail(retryable=retryable):
                return self._failed(task, retryable=retryable), "accepted"
            case _ if self._cancelling(task):
                return task.after(TaskState.CANCELLED, verb), "accepted"
            case Prune():
                return task.after(TaskState.PRUNED, verb), "accepted"
            case Requeue(after_s=after):
                return self._go_on(task, verb, round(max(after, 0) * SECOND)), "accepted"
        return self._go_on(task, verb), "accepted"

    def _fits(self, task: Promised, report: Complete) -> bool:
        return self.runs[task.run].plan.fits(task.node, [bytes(item.value) for item in report.items])

    def _failed(self, task: Promised, *, retryable: bool, verb: Verb = Verb.FAIL) -> Promised:
        """A failure counts, and is tried again after the policy's delay as long as the policy has attempts left."""
        if self._cancelling(task):
            return task.after(TaskState.CANCELLED, verb)
        task = replace(task, failures=task.failures + 1)
        pause = self.runs[task.run].plan.pause(task.node, task.failures) if retryable else None
        return task.after(TaskState.FAILED, verb) if pause is None else self._go_on(task, verb, pause)

    def _noted(self, session: int, report: Progress | Log) -> set[str]:
        task = self.tasks.get(report.task)
        if task is None or (task.attempt, task.session) != (report.attempt, session):
            return {"stale", "refused"}
        if isinstance(report, Log):
            self.logs.add((report.task, report.attempt, report.seq))
        return {"accepted"}

    def keep(self, session: int, held: Iterable[Held], read: int, said: Iterable[Report], *, surely: bool) -> None:
        """A beat keeps what is listed, lost leases too, and releases what came with answers read but is not listed."""
        listed = {lease.task for lease in held} | {report.task for report in said}
        for lease in held:
            task = self.tasks.get(lease.task)
            if task is None or (task.attempt, task.session) != (lease.attempt, session):
                continue
            kept = self._held(task)
            if kept is not None and kept != task:
                deadline = self._deadline(kept, self.lent[lease.task, lease.attempt].at)  # its time went on
                full = self.runs[task.run].plan.limited(task.node)  # it may be
                self._become(lease.task, replace(kept, deadline=deadline), surely=surely and not full)
        for id_, task in list(self.tasks.items()):
            lent = self.lent.get((id_, task.attempt))
            stray = task.state is TaskState.LEASED and task.session == session and id_ not in listed
            if stray and lent is not None and lent.answer <= read:
                self._become(id_, self._released(task), surely=surely)

    def _released(self, task: Promised) -> Promised:
        if self._cancelling(task):
            return task.after(TaskState.CANCELLED, Verb.RELEASE)
        return self._go_on(task, Verb.RELEASE)

    def _become(self, id_: int, task: Promised, *, surely: bool) -> None:
        if surely:
            self.tasks[id_] = task
        else:
            self.maybe.setdefault(id_, []).append(task)
        if self.runs[task.run].plan.stops:  # perhaps it was stopped just before
            self.maybe.setdefault(id_, []).append(task.after(TaskState.CANCELLED, task.ended))
        self.unlocked.add(task.run)

    def leave(self, session: int) -> None:
        for id_, task in self.tasks.items():
            if task.state is TaskState.LEASED and task.session == session:
                self.tasks[id_] = self._released(task)
                self.unlocked.add(task.run)

    def handed(self, session: int, number: int, tasks: Iterable[Assignment]) -> None:
        """Tasks given to a session: each was offered, and the fence moves."""
        for given in tasks:
            known = self.tasks.get(given.task) or self._born(given)
            before = next((each for each in self._allowed(given.task, known) if each.state is TaskState.READY), known)
            assert before.state is TaskState.READY, f"{given} was handed out, but it is {before}"
            assert before.due is None, f"{given} was handed out before it was due"
            just = not self.alone and before.run in self.cancelled
            assert just or not self.runs[before.run].stopping, f"{given} was handed out, but its run is stopping"
            assert given.attempt == before.attempt + 1, f"{given} does not move the fence of {before}"
            assert before.deadline is None or before.deadline > self.now, (
                f"{given} was handed out, but its time is over"
            )
            self.maybe.pop(given.task, None)
            lease = replace(before, state=TaskState.LEASED, attempt=given.attempt, session=session, ended=Verb.NONE)
            self.tasks[given.task] = replace(lease, deadline=self._deadline(lease, self.now))
            self._offered.add(given.task)
            self.lent[given.task, given.attempt] = Lent(number, self.now)

    def _allowed(self, id_: int, known: Promised) -> list[Promised]:
        return [known, *self.maybe.get(id_, [])]

    def _born(self, given: Assignment) -> Promised:
        """A task that this step made and handed out at once."""
        total = self.runs[given.run].plan.time(given.node, "task_timeout")
        return Promised(run=given.run, node=given.node, expires=None if total is None else self.now + total)

    def _deadline(self, task: Promised, at: Micros) -> Micros | None:
        timeout = self.runs[task.run].plan.time(task.node, "timeout")
        return _first(None if timeout is None else at + timeout, task.expires)

    # --- time ---

    def tick(self, over: Mapping[int, bool]) -> None:
        """All that is due. `over`: sessions whose leases have ended; False if the server may still be patient."""
        for id_, task in list(self.tasks.items()):
            ends = [self._swept(self._late(task))]
            if task.state is TaskState.LEASED and task.session in over:
                lost = self._swept(self._late(self._lost(task)))
                ends = [lost] if over[task.session] else [*ends, lost]
            if self.runs[task.run].plan.stops:  # one of them may be the failure that stops the run for the others
                ends += [end for each in (task, *ends) for end in self._stopped(each)]
            self.tasks[id_], self.maybe[id_] = ends[0], ends[1:]
        self.unlocked |= self.runs.keys()  # what was put off is made
        self.claims = True

    def _lost(self, task: Promised) -> Promised:
        """A loss counts, perhaps as a failure too, and is tried again as long as both may be."""
        plan = self.runs[task.run].plan
        if self._cancelling(task):
            return task.after(TaskState.CANCELLED, Verb.LOSE)
        counts = plan.losses_are_failures(task.node)
        task = replace(task, losses=task.losses + 1, failures=task.failures + counts)
        pause = plan.pause(task.node, task.failures) if counts else 0
        if task.losses >= plan.max_losses(task.node) or pause is None:
            return task.after(TaskState.FAILED, Verb.LOSE)
        return self._go_on(task, Verb.LOSE, pause)

    def _late(self, task: Promised) -> Promised:
        """What a task had time for is over; a delayed one is offered."""
        if task.state in LIVE and task.deadline is not None and task.deadline <= self.now:
            return self._over(task)
        if task.state is TaskState.READY and task.due is not None and task.due <= self.now:
            return replace(task, due=None, deadline=self._patience(task))
        return task

    def _over(self, task: Promised) -> Promised:
        if self._cancelling(task):
            late = self.now >= (task.asked or self.runs[task.run].cancel_at) + GRACE
            verb = Verb.CANCEL if late else Verb.TIMEOUT
            return task.after(TaskState.CANCELLED, verb) if task.state is TaskState.LEASED else task
        if task.state is TaskState.LEASED and task.deadline != task.expires:
            return self._failed(task, retryable=True, verb=Verb.TIMEOUT)
        if task.state is TaskState.READY:
            task = replace(task, attempt=task.attempt + 1, session=None)
        return replace(task.after(TaskState.FAILED, Verb.TIMEOUT), failures=task.failures + 1)

    def _swept(self, task: Promised) -> Promised:
        """A stopping run's READY tasks are cancelled at once, its LEASED ones when their grace is over."""
        run = self.runs[task.run]
        if run.stopping and task.state is TaskState.READY:
            return task.after(TaskState.CANCELLED, Verb.CANCEL, attempt=task.attempt + 1, session=None)
        if run.stopping and task.state is TaskState.LEASED and self.now >= (task.asked or run.cancel_at) + GRACE:
            return task.after(TaskState.CANCELLED, Verb.CANCEL)
        return task

    def _stopped(self, task: Promised) -> list[Promised]:
        """What else becomes of a task if its run is stopped meanwhile."""
        if task.state is TaskState.READY:
            return [task.after(TaskState.CANCELLED, Verb.CANCEL, attempt=task.attempt + 1, session=None)]
        if task.state is TaskState.LEASED:
            return [task.after(TaskState.CANCELLED, verb) for verb in (Verb.LOSE, Verb.TIMEOUT)]
        return []

    # --- what can be seen ---

    def compare(self, tasks: Mapping[int, Task], runs: Mapping[int, Run], spreading: set[int]) -> None:
        """Every task and run is as promised; new tasks stand only where something was unlocked."""
        for id_ in self.tasks.keys() - tasks.keys():
            gone = self.tasks[id_]
            assert gone.run in self.reopened, f"{gone} is gone"
            assert gone.state is TaskState.SKIPPED or self._unlisted(id_), f"{gone} is gone"
            del self.tasks[id_]
        for id_, row in tasks.items():
            seen = self._seen(row)
            if id_ in self.tasks:
                self._check_known(id_, row, seen)
                self._note(id_, seen)
            else:
                self._check_new(row, seen)
            self.tasks[id_], self._last[id_] = seen, seen.state
            if seen.state in LIVE or row.claimed_at is not None:
                self._offered.add(id_)
        for id_, model in self.runs.items():
            self._check_run(id_, model, runs[id_], id_ in spreading)
        self._check_gates(tasks)
        self.maybe.clear()
        self.unlocked, self.reopened, self.cancelled, self.claims = set(), set(), set(), False

    def _note(self, id_: int, seen: Promised) -> None:
        before = self._last.get(id_, TaskState.READY)
        if before is not seen.state:
            self.met[f"{before.name} {seen.state.name} {seen.ended.name}"] += 1

    def _seen(self, row: Task) -> Promised:
        return Promised(
            run=row.run,
            node=self.runs[row.run].plan.name(row.node),
            state=row.state,
            attempt=row.attempt,
            failures=row.failures,
            losses=row.losses,
            session=row.session,
            ended=row.ended,
            due=row.due_at,
            deadline=row.deadline,
            expires=row.expires_at,
            asked=row.cancel_at,
            withheld=row.withheld,
        )

    def _check_known(self, id_: int, row: Task, seen: Promised) -> None:
        allowed = self._allowed(id_, self.tasks[id_])
        if seen not in allowed and row.code == "binding" and self.claims:
            before = next(each for each in allowed if each.state is TaskState.READY)
            counts = {"attempt": before.attempt + 1, "failures": before.failures + 1, "session": None}
            allowed = [before.after(TaskState.FAILED, Verb.FAIL, **counts)]
            self.unlocked.add(row.run)
            self.unbound = True
        if not self.alone and seen.session in self.waited:
            allowed = [*allowed, *(self._handed_back(each, seen.session) for each in allowed if self._on_offer(each))]
        assert seen in allowed, f"task {id_} is\n{seen}, not\n" + "\nor ".join(map(str, allowed))

    def _on_offer(self, task: Promised) -> bool:
        return task.state is TaskState.READY and task.due is None

    def _handed_back(self, task: Promised, session: int) -> Promised:
        """A hint had the other server give it to a held claim whose call then broke: it is offered again."""
        given = replace(task, state=TaskState.LEASED, attempt=task.attempt + 1, session=session, ended=Verb.NONE)
        return self._released(given)

    def _check_new(self, row: Task, seen: Promised) -> None:
        assert row.run in self.unlocked, f"nothing unlocked {row}"
        born = Promised(run=row.run, node=seen.node, deadline=seen.deadline, expires=seen.expires)
        settled = replace(seen, state=TaskState.READY, attempt=0, ended=Verb.NONE)
        if seen.state is TaskState.READY:
            assert seen == born
        elif seen.ended is Verb.CANCEL:
            assert self.runs[row.run].plan.stops
        else:
            assert (settled, seen.attempt) == (born, 1)
            inline = self.runs[row.run].plan.inline(seen.node)
            assert inline or seen.state in (TaskState.SKIPPED, TaskState.FAILED), f"{row} was not run"

    def _check_run(self, id_: int, model: RunModel, row: Run, spreading: bool) -> None:
        """A run ends when nothing of it is READY, LEASED or spreading, and its end follows from its tasks."""
        own = [self.tasks[task] for task in self._of(id_)]
        failed = sum(self._bad(task) for task in own)
        if model.state is RunState.RUNNING and model.plan.stops and not model.stopping and failed > model.failed:
            model.stopping, model.cancel_at = Stopping.FAILURE, row.cancel_at or 0
            assert row.cancel_at, f"run {id_} does not stop at its failure"
        model.failed = failed
        if model.state is RunState.RUNNING and not spreading and not any(task.state in LIVE for task in own):
            ended = RunState.FAILED if failed else RunState.SUCCEEDED
            model.state = RunState.CANCELLED if model.stopping is Stopping.CANCEL else ended
            model.stopping = Stopping.NO
        told = (row.state, row.stopping)
        assert told == (model.state, model.stopping), f"run {id_} is {told}, not {model.state, model.stopping}"

    def _bad(self, task: Promised) -> bool:
        """Whether it counts as a failure of its run."""
        ended = task.state in (TaskState.FAILED, TaskState.CANCELLED)
        return ended and not self.runs[task.run].plan.tolerated(task.node)

    def _check_gates(self, tasks: Mapping[int, Task]) -> None:
        leased = [row for row in tasks.values() if row.gate is not None and row.state is TaskState.LEASED]
        assert len(leased) <= MOST, f"{len(leased)} tasks run under {GATED!r}, which allows {MOST}"

    def claimable(self, kinds: Iterable[str]) -> int:
        """How many tasks a runner of these kinds could be given now; 0 while unswept ones are in the way."""
        if any(self._in_the_way(task) for task in self.tasks.values()):
            return 0
        plain = gated = 0
        for task in self.tasks.values():
            run = self.runs[task.run]
            offered = task.state is TaskState.READY and task.due is None and not run.stopping
            if offered and run.plan.kind(task.node) in kinds:
                plain += not run.plan.limited(task.node)
                gated += run.plan.limited(task.node)
        busy = sum(
            task.state is TaskState.LEASED and self.runs[task.run].plan.limited(task.node)
            for task in self.tasks.values()
        )
        return plain + min(gated, max(0, MOST - busy))

    def _in_the_way(self, task: Promised) -> bool:
        """Whether it lies in its lane, but is not handed out any more."""
        late = task.deadline is not None and task.deadline <= self.now
        return task.state is TaskState.READY and (late or self.runs[task.run].stopping is not Stopping.NO)


def _first(at: Micros | None, other: Micros | None) -> Micros | None:
    return min((each for each in (at, other) if each is not None), default=None)
