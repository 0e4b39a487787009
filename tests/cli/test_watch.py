"""What `--watch` shows of a run, and that waiting outlives a server that is away."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from stoker.cli import run, terminal, watch
from stoker.config import Settings
from stoker.core.views import NodeCounts, RunView
from stoker.errors import Unavailable

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def view(state: Any = "RUNNING", **counts: Any) -> RunView:
    return RunView(
        id=7,
        namespace="default",
        graph="shares",
        version=2,
        state=state,
        stopping=False,
        priority=5,
        weight=1,
        created_at=BEGAN,
        ended_at=BEGAN + timedelta(seconds=3),
        nodes=[NodeCounts(node="divide", kind="divide", **counts), NodeCounts(node="total", kind="total")],
    )


def drawn(found: RunView) -> list[str]:
    out = io.StringIO()
    terminal.console(out).print(watch.tree(found))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_a_node_tells_its_counts_progress_and_message() -> None:
    assert drawn(view(succeeded=2, leased=1, ready=3, progress=0.4, message="row 12 [of 30]")) == [
        "run 7 shares v2  RUNNING  3.0 s",
        "├── ▶ divide  2 done, 1 running (40%), 3 waiting  row 12 [of 30]",
        "└── · total   not reached yet",
    ]


def test_a_failure_is_what_a_node_shows_first() -> None:
    assert drawn(view("FAILED", succeeded=2, failed=1))[1] == "├── ✗ divide  2 done, 1 failed"


def test_lines_are_printed_only_for_what_has_moved(capsys: pytest.CaptureFixture[str]) -> None:
    with watch.watching() as seen:
        for _ in range(3):
            seen(view(ready=2))
        seen(view("SUCCEEDED", succeeded=2))
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "divide: 2 waiting\ndivide: 2 done\nrun 7: SUCCEEDED after 3.0 s\n"


class Client:
    """Answers with what it was told, one by one."""

    def __init__(self, answers: list[RunView | Unavailable]) -> None:
        self.answers = answers
        self.api = self

    def run(self, run: int, wait_s: float) -> RunView | Unavailable:
        return self.answers.pop(0)

    def call(self, answer: RunView | Unavailable) -> RunView:
        if isinstance(answer, Unavailable):
            raise answer
        return answer


def test_a_server_that_is_away_is_asked_again_and_that_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "AGAIN_S", 0.0)
    away = Unavailable("http://x did not get through.")
    here: Any = run.Reached(Client([view(), away, away, view(), view("SUCCEEDED")]), Settings())  # type: ignore[arg-type]  # a fake
    assert run.wait(here, 7, None, 30.0).state == "SUCCEEDED"
    assert capsys.readouterr().err.count("The run is kept") == 1


def test_a_server_that_stays_away_is_said_when_the_time_is_over() -> None:
    away = Unavailable("http://x did not get through.")
    here: Any = run.Reached(Client([away]), Settings())  # type: ignore[arg-type]  # a fake
    with pytest.raises(Unavailable):
        run.wait(here, 7, 0.0, 30.0)
