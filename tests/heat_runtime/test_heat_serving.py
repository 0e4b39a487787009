"""Programs of `heat_runtime` as runners of a Stoker server, each a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from heat_programs import CSV, REFERENCE, SUMS, started

import stoker
from stoker.bootstrap.embedded import Embedded
from stoker.core.graph import GraphSpec, InputSpec, KindSpec, NodeSpec, Ref, RunInput
from stoker.core.views import PushRequest
from stoker.runner.client import Client

Start = Callable[..., subprocess.Popen[str]]

PROGRAM = """
import asyncio, threading
from pathlib import Path
from heat_runtime import BaseProcessor, HeatRuntime

class Facts(BaseProcessor):
    TEMPLATE_NAME = "facts"
    async def validate(self, inputs, config):
        await super().validate(inputs, config)
        self.seen = getattr(self, "seen", 0) + 1
        self.loop = asyncio.get_running_loop()
    async def process(self, inputs, config):
        print("printed by the task")
        return {
            "types": {name: type(value).__name__ for name, value in inputs.items()},
            "texts": {name: value.decode() for name, value in inputs.items()},
            "config": config,
            "seen": self.seen,
            "same_loop": self.loop is asyncio.get_running_loop(),
            "main_thread": threading.current_thread() is threading.main_thread(),
            "task": [self.task.node, self.task.attempt],
            "runtime": type(self.runtime).__name__,
            "nan": float("nan"),
        }

class Raw(BaseProcessor):
    TEMPLATE_NAME = "raw"
    async def process(self, inputs, config):
        return b"\\x00bytes"

class Nothing(BaseProcessor):
    TEMPLATE_NAME = "nothing"
    async def process(self, inputs, config):
        return None

class Broken(BaseProcessor):
    TEMPLATE_NAME = "broken"
    async def process(self, inputs, config):
        return {"it": object()}

class Slow(BaseProcessor):
    TEMPLATE_NAME = "slow"
    async def process(self, inputs, config):
        folder = Path(config["folder"])
        (folder / "begun").touch()
        while not (folder / "go").exists():
            threading.Event().wait(0.01)
        return {"done": True}

if __name__ == "__main__":
    for processor in (Facts, Raw, Nothing, Broken, Slow):
        HeatRuntime.register(processor)
    HeatRuntime().init()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Embedded]:
    with Embedded() as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Embedded) -> Iterator[Client]:
    with server.client() as client:
        yield client


@pytest.fixture
def start(server: Embedded, tmp_path: Path) -> Iterator[Start]:
    """Start a program as a runner of the server; those still there in the end are ended."""
    processes: list[subprocess.Popen[str]] = []

    def begin(program: Path, *arguments: object, **variables: str) -> subprocess.Popen[str]:
        given = {"STOKER_URL": server.url, "STOKER_TOKEN": server.token, **variables}
        processes.append(started(program, *arguments, cwd=tmp_path, **given))
        return processes[-1]

    yield begin
    for process in processes:
        if process.poll() is None:
            process.terminate()
            assert process.wait(30) == 0


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


def push(client: Client, kind: str, *inputs: str) -> str:
    """Publish a graph of one node of a kind that binds the run's inputs by name."""
    name = f"{kind} of {','.join(inputs)}"
    node = NodeSpec(name="node", kind=kind, bind={one: RunInput(name=one) for one in inputs})
    spec = GraphSpec(name=name, nodes=(node,), inputs={one: InputSpec() for one in inputs}, result=Ref(node="node"))
    client.call(client.api.push(PushRequest(graph=spec, kinds=(KindSpec(name=kind),))))
    return name


def wait_for(path: Path) -> None:
    ends = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < ends, f"{path} did not appear"
        os.sched_yield()


def test_the_reference_program_sums_an_artifact(client: Client, start: Start, tmp_path: Path) -> None:
    table = tmp_path / "data.csv"
    table.write_text(CSV)
    start(REFERENCE)
    by_name = client.trigger(push(client, "generic-sum-csv", "file"), file=stoker.File(table))
    alone = client.trigger(push(client, "generic-sum-csv", "table"), table=stoker.File(table))
    assert by_name.result(60) == SUMS
    assert alone.result(60) == SUMS


def test_without_a_file_its_task_fails_with_its_own_words(client: Client, start: Start) -> None:
    start(REFERENCE)
    run = client.trigger(push(client, "generic-sum-csv", "n"), n=1)
    with pytest.raises(stoker.RunFailed, match="expected 'file' artefact in inputs"):
        run.result(60)


def test_a_processor_sees_bytes_its_config_and_its_task(client: Client, start: Start, program: Path) -> None:
    (program.parent / "x.txt").write_text("content")
    start(program, "--verbose", "mine")
    graph = push(client, "facts", "table", "numbers", "text", "config")
    given = {"numbers": [1, 2.5], "text": "é", "config": {"depth": 2}}
    runs = [client.trigger(graph, table=stoker.File(program.parent / "x.txt"), **given) for _ in range(2)]
    texts = {"table": "content", "file": "content", "numbers": "[1,2.5]", "text": '"é"'}
    for run in runs:
        assert run.result(60) == {
            "types": dict.fromkeys(texts, "bytes"),
            "texts": texts,
            "config": {"depth": 2},
            "seen": 1,
            "same_loop": True,
            "main_thread": False,
            "task": ["node", 1],
            "runtime": "HeatRuntime",
            "nan": None,
        }
    assert "printed by the task" in "".join(line.text for line in client.call(client.api.run_logs(runs[0].id)).items)


def test_bytes_become_an_artifact_and_none_an_empty_item(client: Client, start: Start, program: Path) -> None:
    start(program)
    raw = client.trigger(push(client, "raw")).result(60)
    assert raw.read_bytes() == b"\x00bytes"
    assert client.trigger(push(client, "nothing")).result(60) == {}


def test_a_result_without_a_json_form_fails_its_task(client: Client, start: Start, program: Path) -> None:
    start(program)
    with pytest.raises(stoker.RunFailed, match=r"\$\.it.*has no JSON form"):
        client.trigger(push(client, "broken")).result(60)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_running_task_finish(
    client: Client, start: Start, program: Path, number: signal.Signals
) -> None:
    process = start(program)
    run = client.trigger(push(client, "slow", "config"), config={"folder": str(program.parent)})
    wait_for(program.parent / "begun")
    process.send_signal(number)
    (program.parent / "go").touch()
    assert run.result(60) == {"done": True}
    assert process.wait(30) == 0


def test_after_the_grace_the_task_is_given_back_and_the_next_runner_does_it(
    client: Client, start: Start, program: Path
) -> None:
    process = start(program, HEAT_SHUTDOWN_GRACE="0.2", HEAT_RUNNER_TAG="short")
    run = client.trigger(push(client, "slow", "config"), config={"folder": str(program.parent)})
    wait_for(program.parent / "begun")
    process.terminate()
    assert process.wait(30) == 0
    (task,) = client.call(client.api.tasks(run.id)).items
    assert task.state == "READY"
    (program.parent / "go").touch()
    start(program)
    assert run.result(60) == {"done": True}
    assert client.call(client.api.task(task.id)).attempt == 2
    assert client.call(client.api.attempts(task.id)) == []  # a release is neither a failure nor a loss


def test_a_server_that_refuses_the_token_ends_the_program_with_1(start: Start) -> None:
    process = start(REFERENCE, STOKER_TOKEN="wrong")
    assert process.wait(60) == 1
