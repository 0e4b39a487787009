"""A task is run once more on this machine, with what it was given; nothing changes on the server."""

from __future__ import annotations

import pdb  # noqa: T100  replaced here
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import pytest

from cli.conftest import Stoker
from stoker.bootstrap.embedded import Embedded
from stoker.core.views import TokenRequest
from stoker.errors import Conflict, NotFound
from stoker.runner.client import Client
from stoker.runner.local import secrets_of

PROGRAM = """
import os
import threading

import stoker


@stoker.node
def parts(text: str) -> list[str]:
    return text.split()


@stoker.node
def shout(word: str, task: stoker.Task) -> str:
    task.progress(0.5, "half")
    task.log(f"shouting {word} in attempt {task.attempt}")
    if word == "bad":
        raise ValueError("it is bad")
    return word.upper() + os.environ.get("MOOD", "")


@stoker.node
async def gather(words: list[str], task: stoker.Task) -> stoker.File:
    if threading.current_thread() is threading.main_thread():
        print("in the main thread")
    path = task.scratch / "words.txt"
    path.write_text(" ".join(words) + os.environ.get("MOOD", ""))
    return stoker.File(path)


@stoker.node
def count(file: stoker.File) -> int:
    return len(file.read_text())


@stoker.graph
def shouted(text: str):
    return count(gather(shout.map(word=stoker.each(parts(text)))))


@stoker.node(secrets=["api.key"])
def secret(task: stoker.Task) -> int:
    return len(task.secrets["api.key"])
"""


@pytest.fixture
def program(folder: Path) -> Path:
    path = folder / "shouting.py"
    path.write_text(PROGRAM)
    return path


@pytest.fixture
def client(server: Embedded) -> Iterator[Client]:
    with server.client() as client:
        yield client


def ran(server: Embedded, client: Client, program: Path, text: str) -> dict[str, int]:
    """A run of the program; its tasks, by node and branch."""
    from stoker.cli.load import load

    loaded = load(program)
    with server.runner(loaded.nodes):
        run = client.trigger(loaded.graphs["shouted"], text=text)
        run.wait(60)
    return {task.node + task.branch: task.id for task in client.call(client.api.tasks(run.id)).items}


def seen(client: Client, run: int) -> object:
    api, call = client.api, client.call
    return call(api.run(run)), call(api.tasks(run)), call(api.run_logs(run)), call(api.kinds())


def test_every_task_of_a_run_ends_as_it_did_and_nothing_changes(
    stoker: Stoker, server: Embedded, client: Client, program: Path
) -> None:
    tasks = ran(server, client, program, "a bee")
    run = client.call(client.api.task(tasks["parts"])).run
    before = seen(client, run)
    view = client.call(client.api.create_token(TokenRequest(name="looks", scopes=["read"])))
    for name, task in tasks.items():
        answer = stoker("replay", str(task), str(program), "--url", server.url, "--token", str(view.token))
        assert (name, answer.code, answer.out.splitlines()[-1]) == (
            name,
            0,
            f"task {task} ({name.partition('parts[')[0]}), attempt 1: same, it succeeded",
        )
        if name.startswith("shout"):
            assert "progress: 50% half\nshouting " in answer.err
        if name == "gather":
            assert answer.out.startswith("in the main thread\n")
    assert seen(client, run) == before


def test_another_result_is_shown_as_a_difference_also_inside_of_a_file(
    stoker: Stoker, server: Embedded, client: Client, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = ran(server, client, program, "a bee")
    monkeypatch.setenv("MOOD", "!")
    answer = stoker("replay", str(tasks["shoutparts[0]"]), str(program))
    assert answer.code == 1
    assert answer.out.splitlines()[1:] == ["--- recorded", "+++ replayed", "@@ -1 +1 @@", '-"A"', '+"A!"']
    found = stoker("replay", str(tasks["gather"]), str(program), "-o", "json")
    assert (found.code, found.json["same"], found.json["code"]) == (1, False, "same")
    assert "in the main thread" in found.err
    assert {'-    "size": 5', '+    "size": 6'} <= set(found.json["diff"].splitlines())
    assert stoker("replay", str(tasks["parts"]), str(program)).code == 0


def test_other_code_than_what_ran_is_said(stoker: Stoker, server: Embedded, client: Client, program: Path) -> None:
    tasks = ran(server, client, program, "a bee")
    other = program.with_name("other.py")
    other.write_text(PROGRAM.replace("return text.split()", "return list(text.split())"))
    answer = stoker("replay", str(tasks["parts"]), str(other))
    assert (answer.code, answer.out) == (0, f"task {tasks['parts']} (parts), attempt 1: same, it succeeded\n")
    assert "the code of 'parts' here is not the code that the run was pushed with" in answer.err
    assert "is not the code" not in stoker("replay", str(tasks["parts"]), str(program)).err


def test_a_failure_is_the_same_failure_and_a_debugger_opens_at_it(
    stoker: Stoker, server: Embedded, client: Client, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = ran(server, client, program, "good bad")
    opened: list[object] = []

    def post_mortem(at: TracebackType) -> None:
        while at.tb_next is not None:
            at = at.tb_next
        opened.append((threading.current_thread(), at.tb_frame.f_locals["word"]))

    monkeypatch.setattr(pdb, "post_mortem", post_mortem)
    bad = tasks["shoutparts[1]"]
    answer = stoker("replay", str(bad), str(program), "--pdb")
    assert (answer.code, answer.out) == (0, f"task {bad} (shout), attempt 1: same, it failed\n")
    assert opened == [(threading.main_thread(), "bad")]
    assert "ValueError: it is bad" in answer.err
    assert "shouting.py" in answer.err


def test_a_breakpoint_in_the_code_is_in_this_thread_and_can_be_left(
    stoker: Stoker, server: Embedded, client: Client, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import bdb
    import sys

    tasks = ran(server, client, program, "a bee")
    stopped: list[object] = []

    def leave() -> None:
        stopped.append((threading.current_thread(), sys._getframe(1).f_locals["text"]))
        raise bdb.BdbQuit

    other = program.with_name("stopping.py")
    other.write_text(PROGRAM.replace("return text.split()", "breakpoint()\n    return text.split()"))
    monkeypatch.setattr(sys, "breakpointhook", leave)
    assert stoker("replay", str(tasks["parts"]), str(other)).code == 130
    assert stopped == [(threading.main_thread(), "a bee")]


def test_a_task_that_nobody_ran_yet_is_run_here_with_nothing_to_compare(
    stoker: Stoker, server: Embedded, client: Client, program: Path
) -> None:
    from stoker.cli.load import load

    run = client.trigger(load(program).graphs["shouted"], text="a bee")
    (task,) = client.call(client.api.tasks(run.id)).items
    answer = stoker("replay", str(task.id), str(program))
    assert (answer.code, answer.out) == (0, '[\n  "a",\n  "bee"\n]\n')
    assert f"task {task.id} (parts), attempt 1 is READY: there is no end to compare with" in answer.err
    assert client.call(client.api.tasks(run.id)).items == [task]
    run.cancel()


def test_what_has_no_code_here_is_refused_with_a_remedy(
    stoker: Stoker, server: Embedded, client: Client, program: Path, pipeline: Path
) -> None:
    tasks = ran(server, client, program, "a bee")
    answer = stoker("replay", str(tasks["parts"]), str(pipeline))
    assert (answer.code, answer.out) == (1, "")
    assert "is of the kind 'parts', and no node here has that name; there are 'divide', 'halves'" in answer.err
    assert "remedy: Name the file that has the node." in answer.err
    with pytest.raises(NotFound, match="has no attempt 3"):
        client.replay(tasks["parts"], *_nodes(program), attempt=3)


def test_secrets_come_from_the_environment_alone_and_are_missed_before_the_code_begins() -> None:
    with pytest.raises(Conflict, match="STOKER_REPLAY_SECRET_API_KEY") as caught:
        secrets_of(["api.key", "other"], "secret", {"STOKER_REPLAY_SECRET_OTHER": "x"})
    assert [problem.place for problem in caught.value.problems] == ["api.key"]
    assert secrets_of(["api.key"], "secret", {"STOKER_REPLAY_SECRET_API_KEY": "s"}) == {"api.key": "s"}


def _nodes(program: Path) -> list[object]:
    from stoker.cli.load import load

    return load(program).nodes
