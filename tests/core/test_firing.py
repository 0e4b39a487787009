from __future__ import annotations

import pytest

from core.samples import Desk, after, join, node
from stoker.core.branch import step
from stoker.core.firing import recount, touched_rows, verdict
from stoker.core.model import JoinKey, JoinRow


@pytest.mark.parametrize(
    ("row", "outcome"),
    [
        (JoinRow(), "fire"),
        (JoinRow(members=2, arrived=2), "fire"),
        (JoinRow(members=2, arrived=1), "fire"),
        (JoinRow(members=1, empty=1), "fire"),
        (JoinRow(members=2), "pruned"),
        (JoinRow(members=2, failed=1, arrived=1), "failed"),
        (JoinRow(members=2, failed=2), "failed"),
        (JoinRow(members=1, failed=1, empty=1), "failed"),
    ],
)
def test_the_verdict_of_a_join_whose_members_have_settled(row: JoinRow, outcome: str) -> None:
    assert verdict(row, all_done=False) == outcome
    assert verdict(row, all_done=True) == "fire"


def test_a_recount_derives_every_row_from_the_tasks_alone() -> None:
    on = Desk(node("a"), node("b", after("a", ())), node("j", join("b", anchor="a")), node("k", join("j")))
    on.complete("a", value=[1, 2, 3])
    on.complete("b", 0)
    on.fail("b", 1)
    decided = {key: JoinRow(state=row.state) for key, row in on.memory.rows.items()}
    j, k = on.memory.graph.names["j"], on.memory.graph.names["k"]
    assert recount(on.memory.graph, 1, on.memory.tasks.values(), decided) == {
        JoinKey(1, j, b""): JoinRow(open=1, members=3, arrived=1, failed=1),
        JoinKey(1, k, b""): JoinRow(open=1, members=2),
    }
    assert decided == {JoinKey(1, j, b""): JoinRow(), JoinKey(1, k, b""): JoinRow()}
    assert on.memory.rows == recount(on.memory.graph, 1, on.memory.tasks.values(), decided)


def test_a_task_names_the_rows_that_its_end_may_reach() -> None:
    on = Desk(
        node("a"),
        node("b", after("a", ())),
        node("c", after("b")),
        node("j", join("c", anchor="b")),
        node("k", join("j")),
    )
    on.complete("a", value=[1, 2, 3])
    on.complete("b", 2)
    j, k = on.memory.graph.names["j"], on.memory.graph.names["k"]
    assert touched_rows(on.memory.graph, on.task("c")) == [JoinKey(1, j, step(2)), JoinKey(1, k, b"")]
    assert touched_rows(on.memory.graph, on.task("b")) == [JoinKey(1, k, b"")]
