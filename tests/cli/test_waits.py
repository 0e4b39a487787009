"""Waits on the command line: listed, looked at, settled."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.conftest import Stoker
from stoker.bootstrap.embedded import Embedded

ASKING = """
import stoker


@stoker.graph
def asking(what: str):
    return stoker.wait("answer", what=what, schema=bool, expires="1h")
"""


@pytest.fixture
def run(stoker: Stoker, folder: Path, server: Embedded) -> int:
    """A run that waits on a live server."""
    (folder / "asking.py").write_text(ASKING)
    from stoker.cli.load import load

    graph = load(folder / "asking.py").graphs["asking"]
    with server.client() as client:
        return client.trigger(graph, what="now?").id


def test_a_wait_is_listed_shown_and_settled(stoker: Stoker, run: int) -> None:
    (wait,) = stoker("runs", "waits", str(run), "-o", "json").json["items"]
    table = stoker("runs", "waits", f"run:{run}").out.splitlines()
    assert table[0].split() == ["TASK", "RUN", "WAIT", "SINCE", "EXPIRES"]
    assert table[1].split()[:3] == [str(wait["id"]), str(run), "answer"]
    assert stoker("tasks", "input", str(wait["id"])).json == {"what": "now?"}
    wrong = stoker("tasks", "settle", str(wait["id"]), "--value", '"yes"')
    assert wrong.code == 1
    assert "does not fit what task" in wrong.err
    assert stoker("tasks", "settle", f"task:{wait['id']}", "--value", "true").out == (
        f"task {wait['id']} (answer) is SUCCEEDED\n"
    )
    assert stoker("runs", "result", str(run)).json is True
    assert "nothing waits" in stoker("runs", "waits", str(run)).err


def test_a_wait_is_declined(stoker: Stoker, run: int) -> None:
    (wait,) = stoker("runs", "waits", str(run), "-o", "json").json["items"]
    assert stoker("tasks", "settle", str(wait["id"]), "--fail", "not yet", "-o", "json").json["state"] == "FAILED"
    assert "declined: not yet" in stoker("explain", str(run)).out


@pytest.mark.parametrize(
    ("flags", "says"),
    [((), "--value JSON or --fail TEXT"), (("--value", "1", "--fail", "x"), "one"), (("--value", "yes"), "not JSON")],
)
def test_a_decision_is_one_value_or_one_failure(
    stoker: Stoker, server: Embedded, flags: tuple[str, ...], says: str
) -> None:
    answer = stoker("tasks", "settle", "1", *flags)
    assert answer.code == 2
    assert says in answer.err
