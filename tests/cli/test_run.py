"""`stoker run`: the result on stdout, everything else on stderr, and the exit code."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli.conftest import Stoker
from stoker.bootstrap.embedded import Embedded
from stoker.core.views import RunnerView

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_result_alone_is_on_stdout(stoker: Stoker, pipeline: Path) -> None:
    answer = stoker("run", f"{pipeline}:shares", "--input", "x=7")
    assert (answer.code, answer.json) == (0, 7.0)
    assert "run 1 of 'shares', in this process" in answer.err


def test_json_tells_run_state_and_result(stoker: Stoker, pipeline: Path) -> None:
    answer = stoker("run", f"{pipeline}:shares", "-i", "x=7", "-o", "json")
    assert answer.json == {"run": 1, "graph": "shares", "version": 1, "state": "SUCCEEDED", "result": 7.0}


def test_a_failed_run_shows_its_cause_with_the_remote_traceback(stoker: Stoker, pipeline: Path) -> None:
    answer = stoker("run", f"{pipeline}:shares", "-i", "x=7", "-i", "by=0")
    assert (answer.code, answer.out) == (1, "")
    assert "error: run 1 of 'shares' failed" in answer.err
    assert "ZeroDivisionError: division by zero" in answer.err
    assert "return part / by" in answer.err
    assert "stoker runs retry 1" in answer.err
    assert re.search(r"`stoker replay \d+ FILE --pdb`", answer.err)


def test_a_failed_run_is_json_too(stoker: Stoker, pipeline: Path) -> None:
    answer = stoker("run", f"{pipeline}:shares", "-i", "x=7", "-i", "by=0", "-o", "json")
    assert answer.code == 1
    assert answer.json["state"] == "FAILED"
    assert answer.json["causes"][0]["type"] == "ZeroDivisionError"


def test_a_run_without_a_result_ends_with_four(stoker: Stoker, pipeline: Path) -> None:
    answer = stoker("run", f"{pipeline}:empty", "-i", "x=1")
    assert (answer.code, answer.out) == (4, "")
    assert "without a result" in answer.err


def test_a_file_is_uploaded(stoker: Stoker, pipeline: Path, folder: Path) -> None:
    (folder / "data.bin").write_bytes(b"12345")
    answer = stoker("run", f"{pipeline}:sizes", "-i", "file=@data.bin", "-i", "note=12")
    assert answer.json == {"bytes": 5, "note": "12"}


def test_elsewhere_than_in_a_terminal_watch_prints_lines(stoker: Stoker, pipeline: Path) -> None:
    answer = stoker("run", f"{pipeline}:shares", "-i", "x=7", "--watch")
    assert answer.json == 7.0
    assert "divide: 2 done" in answer.err
    assert "run 1: SUCCEEDED after" in answer.err
    assert "\x1b" not in answer.err


def test_a_wrong_type_is_refused_before_anything_runs(stoker: Stoker, pipeline: Path) -> None:
    answer = stoker("run", f"{pipeline}:shares", "-i", "x=seven")
    assert answer.code == 1
    assert 'inputs.x: "seven" is not of type "integer"' in answer.err
    assert stoker("runs", "list", "-o", "json").json["items"] == []


def test_a_missing_input_is_a_usage_error(stoker: Stoker, pipeline: Path) -> None:
    answer = stoker("run", f"{pipeline}:shares")
    assert answer.code == 2
    assert "error: the graph needs the input 'x'" in answer.err
    assert "remedy: Add --input x=VALUE." in answer.err


def test_a_malformed_graph_names_every_problem(stoker: Stoker, folder: Path) -> None:
    text = "import stoker\n@stoker.node\ndef n(a: int) -> int:\n    return a\n"
    (folder / "bad.py").write_text(text + "@stoker.graph\ndef g(a: str):\n    return n(a)\n")
    answer = stoker("run", "bad.py", "-i", "a=1")
    assert answer.code == 1
    assert "node 'n', input 'a': the run's input 'a' gives string, where integer is wanted" in answer.err


def test_a_graph_that_cannot_be_meant_names_its_line(stoker: Stoker, folder: Path) -> None:
    text = "import stoker\n@stoker.node\ndef n(a: int) -> int:\n    return a\n"
    (folder / "bad.py").write_text(text + "@stoker.graph\ndef g(a: int):\n    return a if n(a) else 1\n")
    answer = stoker("run", "bad.py", "-i", "a=1")
    assert answer.code == 1
    assert "bad.py:7" in answer.err
    assert "Decide inside a node" in answer.err


@pytest.mark.parametrize("timeout", ["soon", "-1s", "1x"])
def test_a_timeout_that_is_none_is_a_usage_error(stoker: Stoker, pipeline: Path, timeout: str) -> None:
    answer = stoker("run", f"{pipeline}:shares", "-i", "x=1", f"--timeout={timeout}")
    assert answer.code == 2
    assert "1h30m" in answer.err


def test_without_a_runner_that_offers_the_kinds_the_server_waits_and_it_is_said(
    stoker: Stoker, pipeline: Path, server: Embedded
) -> None:
    answer = stoker("run", f"{pipeline}:shares", "-i", "x=1", "--timeout", "0")
    assert answer.code == 5
    assert "no connected runner offers 'divide', 'halves', 'total'" in answer.err
    assert f"stoker runner start {pipeline}" in answer.err
    assert "is still RUNNING" in answer.err
    found = stoker("runs", "list", "--graph", "shares", "-o", "json").json["items"]
    assert stoker("runs", "cancel", str(found[0]["id"]), "-o", "json").json["state"] == "CANCELLED"
    got = stoker("runs", "get", str(found[0]["id"]), "--wait")
    assert got.code == 3


def test_a_live_server_does_the_work_with_its_runners(stoker: Stoker, pipeline: Path, server: Embedded) -> None:
    from stoker.cli.load import load

    with server.runner(load(pipeline).nodes, workers=2), server.client() as client:
        while not any(one.connected for one in client.call(client.api.runners())):
            pass
        answer = stoker("run", f"{pipeline}:shares", "-i", "x=9")
    assert answer.json == 9.0
    assert server.url in answer.err
    assert "no connected runner" not in answer.err


def test_a_runner_that_is_between_two_claims_is_not_called_missing(
    stoker: Stoker, pipeline: Path, server: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stoker.cli.load import load
    from stoker.runner.api import Api

    looks, runners = [0], Api.runners

    async def away_at_first(api: Api) -> list[RunnerView]:
        looks[0] += 1
        return [] if looks[0] == 1 else await runners(api)

    with server.runner(load(pipeline).nodes), server.client() as client:
        while not any(one.connected for one in client.call(client.api.runners())):
            pass
        monkeypatch.setattr(Api, "runners", away_at_first)
        answer = stoker("run", f"{pipeline}:shares", "-i", "x=9")
    assert (answer.json, looks) == (9.0, [2])
    assert "no connected runner" not in answer.err


def test_a_configured_server_that_is_down_is_named(
    stoker: Stoker, pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOKER_URL", "http://127.0.0.1:9")
    answer = stoker("run", f"{pipeline}:shares", "-i", "x=1")
    assert answer.code == 1
    assert "http://127.0.0.1:9" in answer.err
    assert "stoker server start" in answer.err


@pytest.mark.parametrize(
    ("content", "says"), [(b"", "has no rows"), (b"\xff\xfe\x00\x81junk\x00\xff" * 9, "is not a CSV table")]
)
def test_a_bad_table_fails_the_weather_example_with_a_readable_cause(
    stoker: Stoker, folder: Path, content: bytes, says: str
) -> None:
    (folder / "bad.csv").write_bytes(content)
    answer = stoker("run", f"{EXAMPLES / 'weather.py'}:weather", "-i", "csv=@bad.csv")
    assert answer.code == 1
    assert says in answer.err
    assert "years (task" in answer.err


SLOW = """
import time

import stoker


@stoker.node
def slow(x: int, task: stoker.Task) -> int:
    while not task.cancelled:
        time.sleep(0.01)
    raise stoker.Cancelled("told to stop")


@stoker.graph
def forever(x: int = 0):
    return slow(x)
"""


def test_ctrl_c_cancels_the_run(stoker: Stoker, folder: Path) -> None:
    (folder / "slow.py").write_text(SLOW)
    command = [sys.executable, "-m", "stoker.cli", "run", "slow.py", "--watch"]
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("slow: 1 running"):
                break
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert "run 1 is CANCELLED" in err
    assert "Traceback" not in err
    assert json.loads(stoker("runs", "get", "1", "-o", "json").out)["state"] == "CANCELLED"
