"""`stoker runs cancel` and `retry` with a filter: shown, asked, done, told."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from cli.conftest import Stoker
from stoker.bootstrap.embedded import Embedded
from stoker.cli import bulk
from stoker.core.views import BulkAnswer, BulkRequest
from stoker.errors import Unavailable
from stoker.runner.client import Client


class Terminal(io.StringIO):
    """A person who answers."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def waiting(pipeline: Path, server: Embedded) -> list[int]:
    """Three runs that wait for a runner, with a tag of this test's own; newest first."""
    from stoker.cli.load import load

    with server.client() as client:
        graph = load(pipeline).graphs["shares"]
        return [client.trigger(graph, x=4, tags={"test": str(pipeline)}).id for _ in range(3)][::-1]


@pytest.fixture
def mine(pipeline: Path) -> str:
    return f"tag.test={pipeline}"


def states(stoker: Stoker, mine: str) -> list[str]:
    return [item["state"] for item in stoker("runs", "list", mine, "-o", "json").json["items"]]


def test_a_dry_run_shows_which_and_does_nothing(stoker: Stoker, waiting: list[int], mine: str) -> None:
    answer = stoker("runs", "cancel", mine, "--dry-run")
    assert (answer.code, answer.out) == (0, "would cancel 3 runs\n")
    assert all(str(run) in answer.err for run in waiting)
    assert states(stoker, mine) == ["RUNNING"] * 3
    assert stoker("runs", "cancel", mine, "--dry-run", "-o", "json").json["done"] == waiting


def test_without_anybody_to_ask_a_yes_is_wanted(stoker: Stoker, waiting: list[int], mine: str) -> None:
    answer = stoker("runs", "cancel", mine)
    assert answer.code == 2
    assert "to cancel 3 runs wants a yes" in answer.err
    assert "--yes" in answer.err
    assert states(stoker, mine) == ["RUNNING"] * 3


@pytest.mark.parametrize(("said", "done"), [("y\n", True), ("yes\n", True), ("\n", False), ("n\n", False), ("", False)])
def test_a_person_is_asked(
    stoker: Stoker, waiting: list[int], mine: str, monkeypatch: pytest.MonkeyPatch, said: str, done: bool
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(said))
    answer = stoker("runs", "cancel", mine)
    assert answer.code == 0
    assert "cancel 3 runs? [y/N]" in answer.err
    assert answer.out == ("cancelled 3 runs\n" if done else "")
    assert ("nothing was done" in answer.err) is not done
    assert set(states(stoker, mine)) <= ({"CANCELLED", "RUNNING"} if done else {"RUNNING"})


def test_cancelled_runs_are_retried_by_the_same_filter(stoker: Stoker, waiting: list[int], mine: str) -> None:
    assert stoker("runs", "cancel", mine, "--yes", "-o", "json").json["done"] == waiting
    for run in waiting:
        assert stoker("runs", "get", str(run), "--wait").code == 3
    assert stoker("runs", "cancel", mine, "--yes").err == f"there is no run to cancel with {mine}\n"
    assert stoker("runs", "retry", mine, "-y").out == "retried 3 runs\n"
    assert states(stoker, mine) == ["RUNNING"] * 3


def test_a_filter_of_what_has_ended_cancels_nothing_and_says_why(stoker: Stoker, waiting: list[int], mine: str) -> None:
    stoker("runs", "cancel", mine, "--yes")
    for run in waiting:
        stoker("runs", "get", str(run), "--wait")
    answer = stoker("runs", "cancel", mine, "state=CANCELLED")
    assert answer.out == ""
    assert answer.err == "there is no run to cancel among 3 runs\n  skipped 3 runs: it has ended CANCELLED\n"


def test_several_ids_are_a_filter_too_and_skips_have_reasons(
    stoker: Stoker, waiting: list[int], mine: str, server: Embedded
) -> None:
    one, two, three = map(str, waiting)
    stoker("runs", "cancel", one)
    stoker("runs", "get", one, "--wait")
    answer = stoker("runs", "cancel", f"id={one},{two} state!=FAILED", "--yes")
    assert answer.out == "cancelled 1 run\n"
    assert "skipped 1 run: it has ended CANCELLED" in answer.err
    assert stoker("runs", "cancel", two, f"run:{three}", "--yes").out == "cancelled 1 run\n"


def test_nothing_named_is_refused_and_all_must_be_said(stoker: Stoker, server: Embedded) -> None:
    for verb in ("cancel", "retry"):
        answer = stoker("runs", verb)
        assert answer.code == 2
        assert f"which runs to {verb} is not said" in answer.err
        assert "--all" in answer.err
        assert stoker("runs", verb, "--all", "--dry-run").code == 0
    assert stoker("runs", "cancel", "nonsense").code == 2


def test_a_server_that_is_away_is_asked_again_for_the_same_page(
    stoker: Stoker, waiting: list[int], mine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "AGAIN_S", 0.0)
    monkeypatch.setitem(bulk.DONE, "cancel", 2)
    real = Client.call
    asked = 0

    def call(self: Client, coroutine: object) -> object:
        nonlocal asked
        found = real(self, coroutine)  # type: ignore[arg-type]
        if isinstance(found, BulkAnswer):
            asked += 1
            if asked == 2:  # the first page was done, but its answer is lost
                raise Unavailable("the server went away.")
        return found

    monkeypatch.setattr(Client, "call", call)
    answer = stoker("runs", "cancel", mine, "--yes")
    assert "Asking again" in answer.err
    assert answer.out == "cancelled 1 run\n"  # by the calls that were answered
    assert asked == 3
    for run in waiting:
        assert stoker("runs", "get", str(run), "--wait").code == 3


def test_from_python_all_pages_are_one_answer(server: Embedded, waiting: list[int], mine: str) -> None:
    with server.client() as client:
        assert client.cancel_runs(mine, dry_run=True).done == waiting
        assert client.cancel_runs(mine).done == waiting
        for run in waiting:
            client.run(run).wait()
        assert client.retry_runs(mine).done == waiting
        page = client.call(client.api.cancel_runs(BulkRequest(filter=mine, limit=2)))
        assert (page.done, page.after is not None) == (waiting[:2], True)
