"""The rows of one small run as they should be: `a` fans out to two `b`, which `c` joins; `d` writes a file."""

from __future__ import annotations

from typing import Any

import msgspec

from stoker.core.branch import ROOT, step
from stoker.core.compile import compile_graph
from stoker.core.graph import Each, Edge, GraphSpec, Join, KindSpec, NodeSpec, ObjectOf, Ref
from stoker.core.model import Ended, ItemKey, JoinKey, JoinRow, JoinState, Run, Task
from stoker.core.states import RunState, TaskState
from stoker.selftest.evidence import Bytes, Evidence, Span

RUN = 7
KINDS = {"one": KindSpec(name="one")}
GRAPH = compile_graph(
    GraphSpec(
        name="small",
        nodes=(
            NodeSpec(name="a", kind="one"),
            NodeSpec(name="b", kind="one", fire=Each(way=Edge(node="a", expand=("parts",)))),
            NodeSpec(
                name="c",
                kind="one",
                fire=Join(anchor="a", of=("b",)),
                bind={"given": ObjectOf(fields={"gathered": Ref(node="b", many=True)})},
            ),
            NodeSpec(name="d", kind="one", fire=Each(way=Edge(node="c"))),
        ),
    ),
    KINDS,
)
A, B, C, D = (GRAPH.names[name] for name in "abcd")
JOIN = JoinKey(RUN, C, ROOT)
FIRST, SECOND = step(0), step(1)
DIGEST = "5" * 64


def task(id_: int, node: int, branch: bytes = ROOT, parent: int | None = None) -> Task:
    return Task(
        id=id_,
        run=RUN,
        node=node,
        branch=branch,
        parent=parent,
        state=TaskState.SUCCEEDED,
        attempt=1,
        created_at=1,
        settled_at=2,
    )


def key(node: int, branch: bytes = ROOT, item: int = 0) -> ItemKey:
    return ItemKey(RUN, node, branch, item)


def body(**fields: object) -> bytes:
    return msgspec.json.encode(fields)


def stored(size: int = 3, sha256: str = DIGEST, found_size: int | None = 3, found: str | None = DIGEST) -> Bytes:
    return Bytes(size=size, sha256=sha256, found_size=found_size, found_sha256=found)


def ended(id_: int, outcome: str, attempt: int = 1, **more: Any) -> Ended:
    """What is kept of an attempt that a session was at."""
    times = {"started_at": 10, "ended_at": 20}
    return Ended(task=id_, run=RUN, attempt=attempt, outcome=outcome, code="", message="", session=1, **times | more)


def good() -> Evidence:
    """Everything is right."""
    return Evidence(
        run=Run(id=RUN, namespace=1, version=1, state=RunState.SUCCEEDED, tasks=5, created_at=1, ended_at=2),
        graph=GRAPH,
        tasks=[
            task(1, A),
            task(2, B, FIRST, 1),
            task(3, B, SECOND, 1),
            task(4, C),
            task(5, D, parent=4),
        ],
        rows={JOIN: JoinRow(members=2, arrived=2, state=JoinState.FIRED)},
        bodies={
            key(A): body(id="1/1/0", parts=[{}, {}]),
            key(B, FIRST): body(id="2/1/0"),
            key(B, SECOND): body(id="3/1/0"),
            key(C): body(id="4/1/0", of=["2/1/0", "3/1/0"]),
            key(D): body(id="5/1/0", file={"$artifact": 9}, sha256=DIGEST),
        },
        counts={B: (2, 2, 0, 0, 0, 0)},
        executions={number: {1: Span(1, 2)} for number in range(1, 6)},
        artifacts={9: stored()},
    )
