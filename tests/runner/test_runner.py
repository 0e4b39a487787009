"""The whole runner against a scripted server, in one process."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from runner.fakes import PATIENCE_S, FakeNode, FakeServer, completed, failed, unavailable
from stoker.authoring.file import File
from stoker.authoring.signals import NotRetryable, Prune, Requeue
from stoker.core import protocol
from stoker.core.protocol import LOG_CHUNK, LOG_TASK, Complete, Fail, Log, Progress, Release
from stoker.errors import Forbidden, Invalid, Unauthorized, Unavailable
from stoker.runner.runner import Runner


@contextmanager
def serving(*functions: Callable[..., Any], **options: Any) -> Iterator[FakeServer]:
    server = FakeServer()
    nodes = [one if isinstance(one, FakeNode) else FakeNode(one) for one in functions]
    with Runner(nodes, transport=server, **{"grace": 0, "workers": 2, **options}):
        yield server


class Gate:
    """User code that waits until the test opens it, and says that it has begun."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.open = threading.Event()

    def wait(self) -> None:
        self.begun.set()
        assert self.open.wait(PATIENCE_S)


def double(x: int) -> int:
    return 2 * x


async def double_soon(x: int) -> int:
    await asyncio.sleep(0)
    return 2 * x


def test_sync_and_async_nodes_give_their_results() -> None:
    with serving(double, double_soon) as server:
        assert {kind.name for kind in server.kinds} == {"double", "double_soon"}
        tasks = [server.offer(kind, x=n) for n in range(20) for kind in ("double", "double_soon")]
        assert [completed(server.outcome(task)) for task in tasks] == [2 * n for n in range(20) for _ in (1, 2)]
    assert len(server.left) == 1


def test_more_work_than_capacity_all_gets_done() -> None:
    with serving(double, batch_size=3) as server:
        tasks = [server.offer("double", x=n) for n in range(200)]
        for task in tasks:
            server.outcome(task)
        assert server.idle()
    assert all(request.want <= 3 for request in server.claims + server.requests)
    assert all(len(request.held or []) <= 3 for request in server.requests)


def test_blocking_tasks_spread_over_all_threads() -> None:
    both = threading.Barrier(2, timeout=PATIENCE_S)

    def meet() -> None:
        both.wait()

    with serving(meet) as server:
        for task in [server.offer("meet"), server.offer("meet")]:
            assert completed(server.outcome(task)) is None


def test_the_beat_goes_on_while_user_code_burns_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stoker.runner.session.BEAT_S", 0.05)
    done = threading.Event()

    def burn() -> None:
        while not done.is_set():
            sum(range(1000))

    with serving(burn) as server:
        task = server.offer("burn")
        server.until(lambda: len(server.beats) >= 3)
        assert all(held.task == task for held in server.requests[-1].held or [])
        done.set()
        server.outcome(task)


def test_a_lost_answer_is_asked_for_again_and_the_outcome_arrives_twice_the_same() -> None:
    with serving(double) as server:
        answers = 0

        def lose_two(answer: protocol.ReportAnswer) -> protocol.ReportAnswer:
            nonlocal answers
            answers += 1
            if answers <= 2:
                unavailable()
            return answer

        server.after_report = lose_two
        task = server.offer("double", x=1)
        server.until(lambda: len([one for one in server.reports if one.task == task]) == 3)
        server.until(lambda: answers == 3)
    assert len({msgspec.json.encode(one) for one in server.reports}) == 1


def test_a_server_that_is_away_for_a_while_loses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    with serving(double, gate_of(gate)) as server:
        slow = server.offer("slow")
        assert gate.begun.wait(PATIENCE_S)
        refusals = [0]

        def away(_: Any) -> None:
            if refusals[0] < 4:
                refusals[0] += 1
                unavailable()

        server.before_report = away
        server.before_claim = away
        gate.open.set()
        assert completed(server.outcome(slow)) == "slow"
        assert completed(server.outcome(server.offer("double", x=3))) == 6
    assert refusals == [4]
    lines = [record.message for record in caplog.records if "trying again" in record.message]
    assert lines
    assert "the script says no" in lines[0]


def gate_of(gate: Gate) -> FakeNode:
    def slow() -> str:
        gate.wait()
        return "slow"

    return FakeNode(slow)


def test_an_unknown_session_is_claimed_again_and_its_outcome_kept() -> None:
    with serving(double) as server:
        forgotten = [False]

        def forget(answer: protocol.ReportAnswer) -> protocol.ReportAnswer:
            if forgotten[0]:
                return answer
            forgotten[0] = True
            return protocol.ReportAnswer(unknown_session=True)

        server.after_report = forget
        task = server.offer("double", x=1)
        server.until(lambda: len([one for one in server.reports if one.task == task]) == 2)


def test_a_refused_token_stops_the_runner_with_the_reason() -> None:
    server = FakeServer()

    async def refuse(namespace: str, kinds: Any) -> None:
        raise Unauthorized("the token has expired", remedy="Make another one.")

    server.put_kinds = refuse  # type: ignore[method-assign]
    with pytest.raises(Unauthorized, match="expired"):
        Runner([FakeNode(double)], transport=server).start_background()


def test_a_token_revoked_while_serving_ends_start() -> None:
    server = FakeServer()

    def refuse(_: Any) -> None:
        raise Unauthorized("the token was revoked")

    runner = Runner([FakeNode(double)], transport=server, grace=0)
    server.before_claim = refuse
    with pytest.raises(Unauthorized, match="revoked"):
        runner.start()


# how attempts end


def test_an_exception_carries_its_type_message_and_user_frames() -> None:
    def fails() -> None:
        inner()

    def inner() -> None:
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ValueError("wrong \ud800 number") from error

    with serving(fails) as server:
        report = failed(server.outcome(server.offer("fails")))
    assert (report.error.type, report.error.code, report.retryable) == ("ValueError", "error", True)
    assert report.error.message == "wrong ? number"
    assert "in inner" in report.error.traceback
    assert "KeyError: 'first'" in report.error.traceback
    assert "runner/execute.py" not in report.error.traceback


def test_a_huge_message_is_cut_to_fit() -> None:
    def fails() -> None:
        raise ValueError("é" * 100_000)

    with serving(fails) as server:
        error = failed(server.outcome(server.offer("fails"))).error
    assert len(error.message.encode()) + len(error.traceback.encode()) <= 64 * 1024
    assert "cut here" in error.message


def raises(error: BaseException) -> FakeNode:
    def node() -> None:
        raise error

    return FakeNode(node)


def test_a_requeue_a_prune_and_a_final_failure_keep_their_meaning() -> None:
    with serving(raises(Requeue(after="2m"))) as server:
        report = server.outcome(server.offer("node"))
        assert isinstance(report, protocol.Requeue)
        assert report.after_s == 120
    with serving(raises(Prune("no data"))) as server:
        report = server.outcome(server.offer("node"))
        assert isinstance(report, protocol.Prune)
        assert report.reason == "no data"
    with serving(raises(NotRetryable("hopeless"))) as server:
        report = failed(server.outcome(server.offer("node")))
        assert not report.retryable
        assert report.error.message == "hopeless"


@pytest.mark.parametrize("error", [SystemExit(2), KeyboardInterrupt(), GeneratorExit()])
def test_nothing_that_user_code_raises_ends_the_runner(error: BaseException) -> None:
    with serving(raises(error), double) as server:
        assert failed(server.outcome(server.offer("node"))).error.type == type(error).__name__
        assert completed(server.outcome(server.offer("double", x=1))) == 2


def test_an_input_that_does_not_fit_fails_for_good() -> None:
    class Picky(FakeNode):
        def arguments(self, inputs: dict[str, Any], *, task: Any) -> dict[str, Any]:
            raise ValueError("x is missing")

    with serving(Picky(double)) as server:
        report = failed(server.outcome(server.offer("double")))
    assert (report.error.code, report.retryable) == ("invalid_input", False)
    assert report.error.message == "x is missing"


def test_an_output_that_is_no_json_keeps_its_code() -> None:
    class Odd(FakeNode):
        def dump(self, result: Any) -> list[bytes]:
            raise Invalid("a set is not JSON", code="invalid_output")

    with serving(Odd(double)) as server:
        assert failed(server.outcome(server.offer("double", x=1))).error.code == "invalid_output"


def test_a_kind_that_this_runner_does_not_have_is_released() -> None:
    with serving(double) as server:
        assert isinstance(server.outcome(server.offer("other")), Release)


def test_a_large_input_is_fetched() -> None:
    with serving(double) as server:
        server.inputs["/inputs/1"] = b'{"x": 4}'
        assert completed(server.outcome(server.offer("double", url="/inputs/1"))) == 8
        assert isinstance(server.outcome(server.offer("double", url="/inputs/gone")), Release)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_large_output_goes_out_as_an_artifact(is_async: bool) -> None:
    def large() -> str:
        return "x" * (1024 * 1024)

    async def large_soon() -> str:
        return large()

    with serving(large_soon if is_async else large) as server:
        report = server.outcome(server.offer("large_soon" if is_async else "large"))
        assert isinstance(report, Complete)
        (item,) = report.items
        assert item.artifact is not None
        assert msgspec.json.decode(server.artifacts[item.artifact]) == "x" * (1024 * 1024)


def test_many_items_that_are_too_large_together_are_uploaded_until_they_fit() -> None:
    class Many(FakeNode):
        def dump(self, result: Any) -> list[bytes]:
            return [b'"' + b"x" * (900 * 1024) + b'"' for _ in range(8)]

    with serving(Many(double)) as server:
        report = server.outcome(server.offer("double", x=1))
    assert isinstance(report, Complete)
    assert [item.artifact is not None for item in report.items].count(True) == 4


@pytest.mark.parametrize("is_async", [False, True])
def test_files_are_uploaded_and_opened_through_the_runner(is_async: bool) -> None:
    def shout(source: dict[str, int], task: Any) -> File:
        text = File.of(source["$artifact"]).read_text()
        (task.scratch / "loud.txt").write_text(text.upper())
        folders.append(task.scratch)
        return File(task.scratch / "loud.txt")

    async def shout_soon(source: dict[str, int], task: Any) -> File:
        return shout(source, task)

    class WithFiles(FakeNode):
        def dump(self, result: Any) -> list[bytes]:
            return [msgspec.json.encode(result.to_handle())]

    folders: list[Any] = []
    node = WithFiles(shout_soon if is_async else shout, name="shout")
    with serving(node) as server:
        server.artifacts[7] = b"hey"
        handle = completed(server.outcome(server.offer("shout", source={"$artifact": 7})))
        assert server.artifacts[handle["$artifact"]] == b"HEY"
    assert not folders[0].exists()


# cancel and timeout


def test_a_cancel_sets_the_flag_and_the_end_confirms_it() -> None:
    begun = threading.Event()

    def looks(task: Any) -> str:
        begun.set()
        ends = time.monotonic() + PATIENCE_S
        while not task.cancelled and time.monotonic() < ends:
            time.sleep(0.001)
        return "ignored"

    with serving(looks) as server:
        task = server.offer("looks")
        assert begun.wait(PATIENCE_S)
        server.stop(task)
        assert isinstance(server.outcome(task), Release)


def test_a_cancel_of_a_task_that_has_not_begun_takes_it_out_of_the_queue() -> None:
    gate = Gate()
    with serving(gate_of(gate), double, workers=1) as server:
        first = server.offer("slow")
        assert gate.begun.wait(PATIENCE_S)
        second = server.offer("double", x=1)
        server.until(lambda: any(held.task == second for held in (server.claims[-1].held or [])))
        server.stop(second)
        assert isinstance(server.outcome(second), Release)
        gate.open.set()
        assert completed(server.outcome(first)) == "slow"


@pytest.mark.parametrize("is_async", [False, True])
def test_a_timeout_fails_the_attempt(is_async: bool) -> None:
    def looks(task: Any) -> None:
        ends = time.monotonic() + PATIENCE_S
        while not task.cancelled and time.monotonic() < ends:
            time.sleep(0.001)

    async def waits() -> None:
        await asyncio.sleep(3600)

    with serving(waits if is_async else looks) as server:
        report = failed(server.outcome(server.offer("waits" if is_async else "looks", timeout_s=0.05)))
    assert report.error.code == "timeout"
    assert report.retryable


# output


def test_what_threads_print_and_log_is_kept_by_task(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "user")
    together = threading.Barrier(2, timeout=PATIENCE_S)

    def says(word: str, task: Any) -> None:
        together.wait()
        for n in range(50):
            print(word, n)
            logging.getLogger("user").info("%s logs %d", word, n)
        print(word, file=sys.stderr)
        task.log(f"{word} tells")

    with serving(says) as server:
        tasks = {word: server.offer("says", word=word) for word in ("one", "two")}
        for word, task in tasks.items():
            server.outcome(task)
            assert server.text(task, "stdout") == "".join(f"{word} {n}\n" for n in range(50))
            assert server.text(task, "stderr") == f"{word}\n"
            assert server.text(task, "log").count(f"INFO user: {word} logs") == 50
            assert server.text(task, "log").endswith(f"{word} tells\n")
    assert capsys.readouterr().out == ""


def test_what_async_tasks_print_is_kept_apart_and_from_helper_threads_too() -> None:
    meet = asyncio.Barrier(2)

    async def says(word: str) -> None:
        for _ in range(3):
            print(word)
            await meet.wait()
        await asyncio.to_thread(print, f"{word} in a thread")

    with serving(says) as server:
        tasks = {word: server.offer("says", word=word) for word in ("one", "two")}
        for word, task in tasks.items():
            server.outcome(task)
            assert server.text(task) == f"{word}\n" * 3 + f"{word} in a thread\n"


def test_output_and_progress_are_seen_while_the_task_runs() -> None:
    gate = Gate()

    def says(task: Any) -> None:
        print("hello")
        task.progress(0.5, "half")
        gate.wait()

    with serving(says) as server:
        task = server.offer("says")
        server.until(lambda: server.text(task) == "hello\n")
        server.until(lambda: any(isinstance(one, Progress) and one.fraction == 0.5 for one in server.reports))
        gate.open.set()
        server.outcome(task)


def test_endless_output_is_cut_with_a_mark_and_sent_in_chunks() -> None:
    def floods() -> None:
        for _ in range(12):
            print("x" * (1024 * 1024))

    with serving(floods) as server:
        task = server.offer("floods")
        server.outcome(task)
        chunks = [one for one in server.reports if isinstance(one, Log)]
    assert all(len(chunk.text.encode()) <= LOG_CHUNK for chunk in chunks)
    assert LOG_TASK - 2 * 1024 * 1024 < sum(len(chunk.text) for chunk in chunks) < LOG_TASK + 1024
    assert "output cut here" in chunks[-1].text


def test_verbose_shows_captured_output_too(capsys: pytest.CaptureFixture[str]) -> None:
    def says() -> None:
        print("hello")

    with serving(says, verbose=True) as server:
        task = server.offer("says")
        server.outcome(task)
        assert server.text(task) == "hello\n"
    assert capsys.readouterr().out == "hello\n"


def test_the_streams_are_as_before_when_the_last_runner_has_stopped() -> None:
    before = sys.stdout, sys.stderr, logging.getLogger().level, list(logging.getLogger().handlers)
    with serving(double), serving(double):
        assert sys.stdout is not before[0]
    assert (sys.stdout, sys.stderr, logging.getLogger().level, list(logging.getLogger().handlers)) == before


# the end


def test_stopping_finishes_what_runs_releases_what_waits_and_leaves() -> None:
    gate = Gate()
    server = FakeServer()
    runner = Runner([gate_of(gate), FakeNode(double)], transport=server, workers=1, grace="20s").start_background()
    first = server.offer("slow")
    assert gate.begun.wait(PATIENCE_S)
    second = server.offer("double", x=1)
    server.until(lambda: any(held.task == second for held in (server.claims[-1].held or [])))
    stopping = threading.Thread(target=runner.stop)
    stopping.start()
    assert isinstance(server.outcome(second), Release)
    assert not server.left
    gate.open.set()
    stopping.join(PATIENCE_S)
    assert completed(server.outcome(first)) == "slow"
    assert len(server.left) == 1
    assert server.idle()


def test_what_does_not_end_within_the_grace_is_released_and_told() -> None:
    gate = Gate()
    server = FakeServer()
    runner = Runner([gate_of(gate)], transport=server, grace=0.05).start_background()
    task = server.offer("slow")
    assert gate.begun.wait(PATIENCE_S)
    runner.stop()
    assert isinstance(server.outcome(task), Release)
    gate.open.set()
    assert not [one for one in server.reports if isinstance(one, Complete | Fail)]


def test_two_nodes_of_one_name_and_things_that_are_no_nodes_are_refused() -> None:
    with pytest.raises(Invalid) as told:
        Runner([FakeNode(double), FakeNode(double_soon, name="double"), print], transport=FakeServer())
    assert [problem.code for problem in told.value.problems] == ["duplicate_kind", "not_a_node"]


def test_a_graph_stands_for_its_nodes() -> None:
    class Graph:
        nodes = (FakeNode(double),)

    with serving() as nothing:
        assert nothing.kinds == []
    server = FakeServer()
    with Runner([Graph()], transport=server, grace=0):
        assert [kind.name for kind in server.kinds] == ["double"]


def test_a_server_that_never_answers_is_reported() -> None:
    server = FakeServer()

    async def away(namespace: str, kinds: Any) -> None:
        raise Unavailable("nobody is there")

    server.put_kinds = away  # type: ignore[method-assign]
    with pytest.raises(Unavailable, match=r"within 0\.2 seconds"):
        Runner([FakeNode(double)], transport=server).start_background(timeout=0.2)


def test_a_runner_whose_token_may_only_run_serves_the_kinds_that_are_known() -> None:
    server = FakeServer()

    async def refuse(namespace: str, kinds: Any) -> None:
        raise Forbidden("the token lacks the scope author")

    server.put_kinds = refuse  # type: ignore[method-assign]

    def seven() -> int:
        return 7

    with Runner([FakeNode(seven)], transport=server, grace=0):
        assert completed(server.outcome(server.offer("seven"))) == 7
