"""What the selftest signals: processes that it started and those below them, nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stoker.selftest import process as module
from stoker.selftest.process import Process, send_to

SLEEP = "import time; time.sleep(600)"
WITH_CHILD = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEP!r}], process_group=0).wait()"


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Process]]:
    """Start a process of the selftest that runs this code instead of the command line."""
    started: list[Process] = []
    package = tmp_path / "stoker" / "cli"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").touch()

    def start(code: str) -> Process:
        (package / "__main__.py").write_text(code)
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        started.append(Process([], environment, tmp_path, tmp_path / "log"))
        return started[-1]

    yield start
    for one in started:
        one.end()


def until(fact: Callable[[], object]) -> None:
    ends = time.monotonic() + 30
    while not fact():
        assert time.monotonic() < ends, "waited 30 s in vain"
        time.sleep(0.01)


def test_a_process_ends_with_all_that_it_started(command: Callable[[str], Process]) -> None:
    process = command(WITH_CHILD)
    until(lambda: len(process.members()) == 2)
    assert process.members()[0] == process.head
    assert process.end() is True
    assert process.ended
    assert process.members() == []


def test_a_child_that_outlives_its_head_is_still_known(command: Callable[[str], Process]) -> None:
    process = command(WITH_CHILD)
    until(lambda: len(process.members()) == 2)
    child = process.members()[1]
    process.send(signal.SIGKILL)
    until(lambda: process.ended)
    assert process.members() == [child]
    assert not process.reaped()
    process.send(signal.SIGKILL, whole=True)
    until(process.reaped)


def test_one_that_is_deaf_to_sigterm_is_killed_and_that_is_told(
    command: Callable[[str], Process], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ready = tmp_path / "ready"
    code = (
        f"import signal, pathlib; signal.signal(signal.SIGTERM, signal.SIG_IGN); pathlib.Path({str(ready)!r}).touch()"
    )
    process = command(f"{code}\n{SLEEP}")
    until(ready.exists)
    monkeypatch.setattr(module, "END_S", 0.2)
    assert process.end(signal.SIGTERM) is False
    assert process.members() == []


def test_a_stopped_process_is_ended_too(command: Callable[[str], Process]) -> None:
    process = command(SLEEP)
    process.send(signal.SIGSTOP, whole=True)
    assert process.end(signal.SIGTERM) is True


def test_somebody_elses_process_is_never_signalled(command: Callable[[str], Process]) -> None:
    process = command(SLEEP)
    with subprocess.Popen([sys.executable, "-c", SLEEP], start_new_session=True) as other:
        try:
            assert other.pid not in process.members()
            send_to(other.pid, process.head, signal.SIGTERM)
            process.send(signal.SIGTERM, whole=True)
            until(lambda: process.ended)
            assert other.poll() is None
        finally:
            other.kill()


def test_a_signal_to_one_that_is_gone_is_nothing(command: Callable[[str], Process]) -> None:
    process = command("")
    until(lambda: process.ended)
    assert process.end()
    process.send(signal.SIGTERM, whole=True)
    send_to(process.head, process.head, signal.SIGTERM)
