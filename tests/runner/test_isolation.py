"""Isolated nodes: whatever their process does, the attempt gets its outcome and the runner lives."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from runner import nodes
from runner.fakes import FakeNode, FakeServer, completed, failed, wait_until_gone
from stoker.core.protocol import Complete, Progress, Prune, Release, Requeue
from stoker.errors import Conflict
from stoker.runner.origin import Origin, load
from stoker.runner.runner import Runner

ALL = [node for node in vars(nodes).values() if isinstance(node, FakeNode)]


@pytest.fixture
def server() -> Iterator[FakeServer]:
    server = FakeServer()
    with Runner(ALL, transport=server, grace=0):
        yield server


def test_an_isolated_node_runs_in_another_process(server: FakeServer) -> None:
    assert completed(server.outcome(server.offer("iso_double", x=21))) == 42
    assert completed(server.outcome(server.offer("iso_says"))) != os.getpid()


def test_an_input_larger_than_a_pipe_holds_arrives_whole(server: FakeServer) -> None:
    assert completed(server.outcome(server.offer("iso_double", x=["x" * 300_000]))) == ["x" * 300_000] * 2


def test_an_isolated_async_node_runs_too(server: FakeServer) -> None:
    assert completed(server.outcome(server.offer("iso_async", x=2))) == 6


def test_what_it_prints_logs_and_tells_comes_back(server: FakeServer) -> None:
    task = server.offer("iso_says")
    server.outcome(task)
    assert server.text(task, "stdout") == "printed\n"
    assert server.text(task, "stderr") == "from below\n"
    assert "INFO mine: logged\n" in server.text(task, "log")
    assert "told\n" in server.text(task, "log")


@pytest.mark.parametrize(("kind", "words"), [("iso_segfault", "ended by SIGSEGV"), ("iso_exit", "exited with code 3")])
def test_a_crash_fails_the_attempt_and_names_its_cause(server: FakeServer, kind: str, words: str) -> None:
    report = failed(server.outcome(server.offer(kind)))
    assert report.error.code == "crashed"
    assert words in report.error.message
    assert report.retryable
    assert completed(server.outcome(server.offer("iso_double", x=1))) == 2


def test_an_exception_comes_back_with_its_frames(server: FakeServer) -> None:
    report = failed(server.outcome(server.offer("iso_raises")))
    assert report.error.type == "ValueError"
    assert report.error.message == "inside"
    assert 'raise ValueError("inside")' in report.error.traceback
    assert "execute.py" not in report.error.traceback


def test_signals_keep_their_verbs(server: FakeServer) -> None:
    requeue = server.outcome(server.offer("iso_requeues"))
    assert isinstance(requeue, Requeue)
    assert requeue.after_s == 3
    prune = server.outcome(server.offer("iso_prunes"))
    assert isinstance(prune, Prune)
    assert prune.reason == "nothing to do"


def test_a_cancel_is_seen_by_code_that_looks(server: FakeServer) -> None:
    task = server.offer("iso_cooperates")
    server.until(lambda: "waiting" in server.text(task))
    server.stop(task)
    assert isinstance(server.outcome(task), Release)
    assert "seen" in server.text(task)


def test_a_cancel_raises_in_code_that_does_not_look(server: FakeServer) -> None:
    task = server.offer("iso_cleans_up")
    server.until(lambda: "waiting" in server.text(task))
    server.stop(task, grace_s=3)
    assert isinstance(server.outcome(task), Release)
    assert "cleaned" in server.text(task)


def test_code_that_ignores_everything_is_killed_within_the_grace(server: FakeServer) -> None:
    task = server.offer("iso_stubborn")
    server.until(lambda: "pid " in server.text(task))
    pid = int(server.text(task).split()[1])
    server.stop(task, grace_s=0.6)
    assert isinstance(server.outcome(task), Release)
    wait_until_gone(pid)


def test_processes_that_it_left_behind_end_with_it(server: FakeServer) -> None:
    wait_until_gone(completed(server.outcome(server.offer("iso_leaves_a_child"))))


def test_files_go_through_the_runner(server: FakeServer) -> None:
    server.artifacts[7] = b"hello"
    handle = completed(server.outcome(server.offer("iso_copies", source={"$artifact": 7})))
    assert server.artifacts[handle["$artifact"]] == b"hello!"


def test_a_large_output_of_an_isolated_node_is_uploaded(server: FakeServer) -> None:
    report = server.outcome(server.offer("iso_large"))
    assert isinstance(report, Complete)
    artifact = report.items[0].artifact
    assert artifact is not None
    assert len(msgspec.json.decode(server.artifacts[artifact])) == 2 * 1024 * 1024


def test_its_progress_comes_back_while_it_runs(server: FakeServer) -> None:
    task = server.offer("iso_cooperates")
    progress = server.until(lambda: next((one for one in server.reports if isinstance(one, Progress)), None))
    assert (progress.task, progress.fraction, progress.message) == (task, 0.25, "looking")
    server.stop(task)
    server.outcome(task)


def test_the_process_dies_with_its_runner() -> None:
    server = FakeServer()
    runner = Runner(ALL, transport=server).start_background()
    task = server.offer("iso_stubborn")
    server.until(lambda: "pid " in server.text(task))
    pid = int(server.text(task).split()[1])
    runner.stop(0)
    assert isinstance(server.outcome(task), Release)
    wait_until_gone(pid)


def test_a_file_that_runs_a_graph_when_it_is_imported_is_told_so_instead_of_running_it_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "unguarded.py"
    path.write_text("import stoker\n\nstoker.Runner([], url='http://127.0.0.1:9')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(Conflict, match="while it is imported for its isolated node 'work'") as told:
        load(Origin(module="unguarded", file=str(path), name="work"))
    assert "__main__" in told.value.remedy
    Runner([], transport=FakeServer())  # outside of an import nothing is refused
