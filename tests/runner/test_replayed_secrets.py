"""What is recorded has no secrets in it, and so a replay hides those that it was given before it compares."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

import stoker
from stoker.core.views import AttemptView, TaskView
from stoker.runner.local import LocalFiles
from stoker.runner.replay import Record, Replay, replay
from stoker.runner.work import flatten

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@stoker.node(secrets=["key"])
def told(task: stoker.Task) -> dict[str, str]:
    return {"url": f"https://example.org/?key={task.secrets['key']}"}


@stoker.node(secrets=["key"])
def broken(task: stoker.Task) -> None:
    raise ValueError(f"401 for {task.secrets['key']}")


@stoker.node(secrets=["key"])
def pruned(task: stoker.Task) -> None:
    raise stoker.Prune(f"nothing under {task.secrets['key']}")


@pytest.fixture
def replayed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Replay]:
    """Replays a node without inputs, whose secret is in this environment."""
    monkeypatch.setenv("STOKER_REPLAY_SECRET_KEY", "correct horse")

    def replayed(node: Any, state: str, items: object = (), **ended: Any) -> Replay:
        (work,) = flatten([node]).values()
        counts = {"generation": 0, "attempt": 1, "failures": 0, "losses": 0}
        view: Any = {"id": 1, "run": 1, "node": "n", "kind": work.kind.name, "branch": "", "state": state, **counts}
        attempts = [AttemptView(attempt=1, started_at=NOW, ended_at=NOW, code="", **ended)] if ended else []
        record = Record(
            view=TaskView(created_at=NOW, **view),
            attempt=1,
            input=b"{}",
            items=msgspec.json.encode(items),
            attempts=attempts,
        )
        return replay(record, work, LocalFiles(_nothing), _nothing)

    return replayed


def _nothing(number: int) -> Any:
    raise AssertionError(f"artifact {number} was asked for")


def test_a_result_with_a_secret_is_the_same_as_the_hidden_one(replayed: Callable[..., Replay]) -> None:
    found = replayed(told, "SUCCEEDED", [{"url": "https://example.org/?key=***"}])
    assert (found.same, found.diff) == (True, "")


@pytest.mark.parametrize(
    ("node", "state", "kept"),
    [
        (broken, "FAILED", {"outcome": "failed", "type": "ValueError", "message": "401 for ***"}),
        (pruned, "PRUNED", {"outcome": "pruned", "type": "", "message": "nothing under ***"}),
    ],
    ids=["failed", "pruned"],
)
def test_what_was_raised_with_a_secret_is_the_same_as_the_hidden_one(
    replayed: Callable[..., Replay], node: Any, state: str, kept: dict[str, str]
) -> None:
    found = replayed(node, state, **kept)
    assert (found.same, found.diff) == (True, "")
    assert "correct horse" not in found.traceback
    assert node is pruned or "***" in found.traceback
