"""Random live graphs under random events: at every step what the rules say (`live_oracle`), nothing missed at last."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from core.live_memory import LiveMemory
from core.live_oracle import LiveOracle, Node
from core.samples import compiled
from stoker.core.graph import InputSpec, NodeSpec, OnChange, Ref, Retry
from stoker.core.model import Task
from stoker.core.picture import Body
from stoker.core.protocol import ErrorInfo
from stoker.core.states import TaskState, Verb

INPUTS = ("x", "y")
NODES = tuple("abcdef")
NO = ErrorInfo(message="no")


class LiveRuns(RuleBasedStateMachine):
    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        nodes: dict[str, Node] = {}
        specs = []
        for at, name in enumerate(NODES[: data.draw(st.integers(1, len(NODES)))]):
            of = data.draw(st.lists(st.sampled_from([*INPUTS, *NODES[:at]]), unique=True, max_size=3))
            every = data.draw(st.booleans())
            needs = of if every else data.draw(st.lists(st.sampled_from(of), unique=True)) if of else []
            bind = {parent: Ref(node=parent, optional=parent not in needs) for parent in of}
            fire = OnChange(of=tuple(of), require_all=every)
            specs.append(NodeSpec(name=name, kind="one", fire=fire, bind=bind, retry=Retry(base=0), max_losses=3))
            nodes[name] = Node(tuple(of), frozenset(needs))
        given = {name: at for at, name in enumerate(data.draw(st.lists(st.sampled_from(INPUTS), unique=True)))}
        graph = compiled(*specs, mode="live", inputs={name: InputSpec() for name in INPUTS})
        self.memory = LiveMemory(graph, given)
        self.oracle = LiveOracle({**nodes, **{name: Node(is_input=True) for name in INPUTS}})
        for name, value in given.items():
            self.oracle.publish(name, value)
        self.values = 100
        self.held: dict[str, Task] = {}  # what the newest holder of each node knows it has
        self.numbers: dict[str, int] = {}

    def value(self) -> int:
        self.values += 1
        return self.values

    def name(self, data: st.DataObject, *, leased: bool | None = None, work: bool = True) -> str | None:
        """A node to do something to; `leased`: one that is open so."""
        names = list(self.oracle.nodes)
        if leased is not None:
            names = [name for name in names if (open_ := self.oracle.nodes[name].open) and open_.leased is leased]
        elif work:
            names = [name for name in names if not self.oracle.nodes[name].is_input]
        return data.draw(st.sampled_from(names)) if names else None

    def ids(self, name: str) -> tuple[int, int, int]:
        task = self.held[name]
        return task.id, task.attempt, task.session or 0

    # --- what happens ---

    @rule(data=st.data())
    def publish(self, data: st.DataObject) -> None:
        name, value = self.name(data, work=False), self.value()
        assert name
        self.memory.batch(lambda fold, run: fold.publish(run, self.memory.graph.place(name), Body(b"%d" % value)))
        self.oracle.publish(name, value)

    @rule(data=st.data(), failed=st.booleans())
    def announce(self, data: st.DataObject, failed: bool) -> None:
        name = self.name(data, work=False)
        assert name
        state = TaskState.FAILED if failed else TaskState.SUCCEEDED
        self.memory.batch(lambda fold, run: fold.announce(run, self.memory.graph.place(name), state, ""))
        self.oracle.announce(name)

    @rule(data=st.data())
    def fire(self, data: st.DataObject) -> None:
        name = self.name(data)
        if name and (self.oracle.currents(name) or not self.oracle.nodes[name].parents):
            self.memory.batch(lambda fold, run: fold.fire(run, self.memory.graph.place(name)))
            self.oracle.fire(name)

    @rule(data=st.data())
    def claim(self, data: st.DataObject) -> None:
        if name := self.name(data, leased=False):
            self.held[name], read = self.memory.claim(name, session=self.value())
            assert read == self.oracle.claim(name)
            self.numbers[name] = 0

    @rule(data=st.data(), again=st.booleans())
    def say(self, data: st.DataObject, again: bool) -> None:
        """An output of an attempt that goes on; `again`: its report is repeated."""
        if name := self.name(data, leased=True):
            self.numbers[name] += 1
            value = self.value()
            for _ in range(1 + again):
                body, number = Body(b"%d" % value), self.numbers[name]
                receipt = self.memory.batch(lambda fold, _: fold.item(*self.ids(name), number, "", body))  # noqa: B023 - runs at once
                assert receipt.status == "accepted"
            self.oracle.say(name, value)

    @rule(data=st.data(), items=st.booleans())
    def complete(self, data: st.DataObject, items: bool) -> None:
        if name := self.name(data, leased=True):
            self._complete(name, self.value() if items else None)

    def _complete(self, name: str, value: int | None) -> None:
        bodies = [] if value is None else [Body(b"%d" % value)]
        assert self.memory.batch(lambda fold, _: fold.complete(*self.ids(name), bodies)).status == "accepted"
        self.oracle.complete(name, value)

    @rule(data=st.data(), how=st.sampled_from(["fail", "retry", "release", "requeue"]))
    def end_badly(self, data: st.DataObject, how: str) -> None:
        name = self.name(data, leased=True)
        if name is None:
            return
        ids = self.ids(name)
        match how:
            case "fail":
                self.memory.batch(lambda fold, _: fold.fail(*ids, NO, retryable=False))
                self.oracle.fail(name)
            case "retry":
                task = self.memory.tasks[ids[0]]
                self.memory.batch(lambda fold, _: fold.fail(*ids, NO, retryable=True))
                self.oracle.fail(name) if task.failures == 2 else self.oracle.again(name)
            case "release":
                self.memory.batch(lambda fold, _: fold.release(*ids))
                self.oracle.again(name)
            case _:
                self.memory.batch(lambda fold, _: fold.requeue(*ids, 0))
                self.oracle.again(name)

    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        if name := self.name(data, leased=True):
            task = self.memory.tasks[self.held[name].id]
            self.memory.batch(lambda fold, _: fold.lose(fold.tasks[task.id]))
            self.oracle.fail(name) if task.losses == 2 else self.oracle.lose(name)

    @rule(data=st.data())
    def come_back(self, data: st.DataObject) -> None:
        """The holder of a lost attempt beats after all."""
        if name := self.name(data, leased=False):
            task = self.memory.open(name)
            assert task
            if task.ended is Verb.LOSE:
                assert self.memory.batch(
                    lambda fold, _: fold.hold(fold.tasks[task.id], task.attempt, task.session or 0)
                )
                self.oracle.revive(name)
                assert self.memory.reads(self.memory.tasks[task.id]) == self.oracle.nodes[name].open.inputs  # type: ignore[union-attr]  # it is open

    @rule(data=st.data())
    def be_late(self, data: st.DataObject) -> None:
        """The report of an attempt that is not the newest any more."""
        if name := self.name(data, leased=True):
            task, attempt, _ = self.ids(name)
            receipt = self.memory.batch(lambda fold, _: fold.complete(task, attempt, 1, [Body(b"0")]))
            assert receipt.status == "stale"

    # --- what must hold ---

    @invariant()
    @precondition(lambda self: hasattr(self, "memory"))
    def is_as_the_rules_say(self) -> None:
        for name, node in self.oracle.nodes.items():
            row, task = self.memory.row(name), self.memory.open(name)
            shown = (row.settled, row.generation + 1, row.outputs, self.memory.current(name))
            assert shown == (node.settled, node.firings, node.outputs, node.current)
            assert (task is None) == (node.open is None)
            if task is not None and node.open is not None:
                assert (task.state is TaskState.LEASED) == node.open.leased
                assert row.dirty(task) == (node.open.leased and node.open.dirty)
                assert (task.id, task.generation) == (row.task, row.generation)

    def teardown(self) -> None:
        """Let everything come to rest: then every node has read what is current."""
        if not hasattr(self, "memory"):
            return
        while names := [name for name, node in self.oracle.nodes.items() if node.open is not None]:
            for name in names:
                open_ = self.oracle.nodes[name].open
                if open_ is not None and not open_.leased:
                    self.held[name], read = self.memory.claim(name, session=self.value())
                    assert read == self.oracle.claim(name)
                self._complete(name, self.value())
        self.is_as_the_rules_say()
        for name, node in self.oracle.nodes.items():
            if node.parents and self.oracle.may_fire(name):
                assert node.read == self.oracle.currents(name), f"{name} missed a change"
        assert self.memory.run.state.name == "RUNNING"


LiveRuns.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
test_live_runs_do_what_the_rules_say = LiveRuns.TestCase
