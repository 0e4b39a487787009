"""Forks from the command line: what would run again is shown and asked for first."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

from cli.conftest import Stoker
from stoker.bootstrap.embedded import Embedded
from stoker.runner.client import Client


@pytest.fixture
def client(server: Embedded) -> Iterator[Client]:
    with server.client() as client:
        yield client


def shares(server: Embedded, client: Client, pipeline: Path) -> int:
    from stoker.cli.load import load

    loaded = load(pipeline)
    with server.runner(loaded.nodes):
        run = client.trigger(loaded.graphs["shares"], x=7, by=2)
        assert run.result(60) == 3.5
    return run.id


def finished(server: Embedded, client: Client, pipeline: Path, run: int) -> object:
    from stoker.cli.load import load

    with server.runner(load(pipeline).nodes):
        return client.run(run).result(60)


def test_a_fork_says_what_runs_again_and_runs_only_that(
    stoker: Stoker, server: Embedded, client: Client, pipeline: Path, folder: Path
) -> None:
    run = shares(server, client, pipeline)
    said = stoker("fork", str(run), "--from", "total", "--dry-run")
    assert said.code == 0
    assert said.out.startswith(f"run {run} from total: 3 tasks taken over as they were\nthese run again")
    assert said.out.splitlines()[-1].split() == ["total", "total", "1"]
    unasked = stoker("fork", str(run), "--from", "total")
    assert (unasked.code, "Add --yes to make it, or --dry-run" in unasked.err) == (2, True)
    edit = folder / "edit.json"
    edit.write_text(json.dumps({"divide@halves[1]": 10.0}))
    forked = stoker("fork", str(run), "--from", "total", "--edit", str(edit), "--tag", "try=2", "-y", "-o", "json").json
    assert (forked["origin"], forked["taken"], forked["again"][0]["node"]) == (run, 3, "total")
    assert finished(server, client, pipeline, forked["run"]) == 11.5
    shown = stoker("runs", "get", str(forked["run"]))
    assert f"run {run} from total" in shown.out
    assert "try=2" in shown.out
    here = ("--edit", '{"divide@halves[1]": 1.0}', "--input", "by=3", "--dry-run")
    assert (
        "taken over as they were: divide; fork from one of them"
        in stoker("fork", str(run), "--from", "total", *here).err
    )
    one = stoker("fork", str(run), "--from", "divide@halves[0]", "--input", "by=3", "-y", "-o", "json").json
    assert finished(server, client, pipeline, one["run"]) == 3.0


def test_a_fork_is_only_made_after_a_yes(
    stoker: Stoker, server: Embedded, client: Client, pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = shares(server, client, pipeline)
    for answer, made in (("n", False), ("y", True)):
        terminal = StringIO(f"{answer}\n")
        monkeypatch.setattr(terminal, "isatty", lambda: True)
        monkeypatch.setattr("sys.stdin", terminal)
        said = stoker("fork", str(run), "--from", "total")
        assert (said.code, f"is a fork of run {run}" in said.out) == (0, made)
        assert "start it? [y/N]" in said.err


def test_a_fork_that_makes_no_sense_is_refused(
    stoker: Stoker, server: Embedded, client: Client, pipeline: Path, folder: Path
) -> None:
    run = shares(server, client, pipeline)
    (folder / "list.json").write_text("[1]")
    for arguments, code, message in (
        (["--from", "nope", "-y"], 1, "has no node 'nope' that is run"),
        (["--from", "divide@halves[9]", "-y"], 1, "It has tasks at 'halves[0]', 'halves[1]'"),
        (["--from", "total", "--input", "z=1", "-y"], 2, "the graph has no input 'z'"),
        (["--from", "total", "--edit", "list.json", "-y"], 2, "names no node"),
        (["--from", "total", "--edit", "away.json", "-y"], 2, "cannot be read as JSON"),
    ):
        answer = stoker("fork", str(run), *arguments)
        assert (answer.code, answer.out, message in answer.err) == (code, "", True), answer.err
