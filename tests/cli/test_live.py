"""`stoker runs publish`, `fire` and `outputs`, and what `runs get` and `explain` show of a live run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.conftest import Stoker
from stoker.bootstrap.embedded import Embedded
from stoker.core.graph import GraphSpec, InputSpec, KindSpec, NodeSpec, OnChange, RunInput
from stoker.core.views import PushRequest


class Board:
    """A live graph whose work nobody does."""

    name = "board"

    def push_request(self) -> PushRequest:
        node = NodeSpec(name="show", kind="shows", fire=OnChange(of=("x",)), bind={"x": RunInput(name="x")})
        spec = GraphSpec(name=self.name, nodes=(node,), mode="live", inputs={"x": InputSpec()})
        return PushRequest(graph=spec, kinds=(KindSpec(name="shows"),))


@pytest.fixture
def run(stoker: Stoker, server: Embedded) -> str:
    with server.client() as client:
        return str(client.trigger(Board()).id)


def test_a_value_is_published_and_listed(stoker: Stoker, run: str) -> None:
    assert stoker("runs", "outputs", run).err.startswith(f"run {run} has no outputs")
    assert "waits for a first output of the input 'x'" in stoker("runs", "get", run).out
    said = stoker("runs", "publish", run, "x", '{"level": 4}').out
    first = said.split()[-1]
    assert said == f"'x' of run {run} has output {first}\n"
    assert stoker("runs", "publish", run, "x", "high", "--name", "word").code == 0
    (current,) = stoker("runs", "outputs", run, "--current", "-o", "json").json["items"]
    assert (current["value"], current["name"]) == ("high", "word")
    head, *rows = stoker("runs", "outputs", run).out.splitlines()
    assert head.split() == ["OUTPUT", "NODE", "GIVEN", "VALUE"]
    assert [row.split()[1:3] for row in rows] == [["x", "current"], ["x", "just"]] or first in rows[1]
    assert '{"level": 4}'.replace(" ", "") in rows[1].replace(" ", "")


def test_a_value_comes_from_a_file(stoker: Stoker, run: str, tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    path.write_text(json.dumps([1, 2]))
    assert stoker("runs", "publish", run, "x", f"@{path}").code == 0
    (current,) = stoker("runs", "outputs", run, "--node", "x", "-o", "json").json["items"]
    assert current["value"] == [1, 2]
    answer = stoker("runs", "publish", run, "x", f"@{tmp_path / 'none'}")
    assert answer.code != 0
    assert "is no file with JSON" in answer.err


def test_a_live_run_is_not_waited_for_and_says_how_it_ends(stoker: Stoker, run: str) -> None:
    answer = stoker("runs", "result", run)
    assert answer.code == 5
    assert f"ends by `stoker runs cancel {run}` alone" in answer.err
    assert "--wait" not in answer.err
    stoker("runs", "cancel", run)
    assert "CANCELLED by that" not in stoker("explain", run).out
    assert stoker("runs", "retry", run).out == f"run {run} goes on\n"


def test_a_node_that_is_none_is_told_with_those_there_are(stoker: Stoker, run: str) -> None:
    for command in (("publish", run, "y", "1"), ("fire", run, "y"), ("outputs", run, "--node", "y")):
        assert "Its nodes: 'show', 'x'." in stoker("runs", *command).err


def test_a_node_settles_outside_and_is_fired(stoker: Stoker, run: str) -> None:
    refused = stoker("runs", "fire", run, "show")
    assert refused.code == 1
    assert "no node before 'show' has an output" in refused.err
    assert stoker("runs", "publish", run, "x", "--failed", "--status", "no power").out == f"'x' of run {run} settled\n"
    assert "no power" in stoker("runs", "get", run).out
    assert "none has an output" in stoker("explain", run).out
    stoker("runs", "publish", run, "x", "1")
    said = stoker("runs", "fire", run, "show").out
    assert said.startswith("'show' is READY: task ")
    assert stoker("runs", "publish", run, "x", "1", "--failed").code != 0
