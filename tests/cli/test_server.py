"""`stoker server start` and `stoker runner start`, as processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import stat
from pathlib import Path

import pytest

from cli.conftest import Stoker
from cli.processes import finished, started
from stoker.config import Settings, as_environment, handed_on, read_server_file
from stoker.runner.client import Client


def test_a_server_and_a_runner_do_what_a_third_process_asks(
    stoker: Stoker, pipeline: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with started("server", "start", "--port", "0") as server:
        assert "is ready on http://127.0.0.1:" in server.until("ready")
        assert str(folder / "data" / "token") in server.until("token")
        assert "stoker runner start FILE" in server.until("next")
        assert stat.S_IMODE((folder / "data" / "token").stat().st_mode) == 0o600
        with started("runner", "start", "pipeline.py", "--name", "first", "--label", "zone=a") as runner:
            assert "divide, halves, nothing, size, total" in runner.until("offers", err=True)
            assert "connected to http://127.0.0.1:" in runner.until("connected", err=True)
            answer = stoker("run", f"{pipeline}:shares", "-i", "x=5")
            assert answer.json == 5.0
            found = {one["name"]: one for one in stoker("doctor", "-o", "json").json}
            assert found["runners"]["found"] == "1 connected: first"
            assert {one["status"] for one in found.values()} == {"ok"}
            assert runner.end(signal.SIGINT)[0] == 0
        assert server.end(signal.SIGINT)[0] == 0
    assert read_server_file(folder / "data") is None


def test_a_server_tells_what_it_does_in_json_and_counts_it(stoker: Stoker, pipeline: Path, folder: Path) -> None:
    options = ("--metrics", "token", "--log-format", "json", "--access-log")
    with started("server", "start", "--port", "0", *options) as server:
        assert json.loads(server.until("is ready"))["logger"] == "stoker.supervisor"
        stoker("graphs", "push", f"{pipeline}:shares")
        up = read_server_file(folder / "data")
        assert up is not None
        with Client(up.url, (folder / "data" / "token").read_text().strip()) as client:
            run = client.trigger("shares", x=4)
            run.cancel()
            run.wait()
            text = client.call(client.api.wire.call("GET", "/metrics", answer=bytes)).decode()
        assert 'stoker_runs_ended_total{namespace="default",state="CANCELLED"} 1.0' in text.splitlines()
        [telemetry] = [one for one in stoker("doctor", "-o", "json").json if one["name"] == "telemetry"]
        assert telemetry["found"].startswith("metrics are on, ")
        code, out, err = server.end()
    assert code == 0
    lines = [json.loads(line) for line in [*out.splitlines(), *err.splitlines()]]
    assert [line["run"] for line in lines if line.get("event") == "run.cancelled"] == [run.id]
    [scraped] = [line for line in lines if line.get("request") == "GET /metrics"][:1]
    assert (scraped["status"], scraped["logger"]) == (200, "stoker.access")


def test_the_process_that_lives_long_has_not_imported_the_command_line(folder: Path) -> None:
    with started("server", "start", "--port", "0") as server:
        server.until("next")
        command = Path(f"/proc/{server.process.pid}/cmdline")
        if command.exists():  # elsewhere than on Linux there is no such file
            assert b"stoker.cli.supervising" in command.read_bytes()


def test_the_token_is_no_argument_of_any_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOKER_TOKEN", "very-secret")
    with started("server", "start", "--port", "0") as server:
        assert "STOKER_TOKEN" in server.until("token:")
        for command in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                assert b"very-secret" not in command.read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue


def test_a_taken_port_is_refused(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, out, err = finished("server", "start", "--port", str(taken.getsockname()[1]))
    assert (code, out) == (1, "")
    assert err.startswith("error: port")
    assert "is taken by another process" in err
    assert "--port" in err


def test_without_tokens_only_loopback_is_served(folder: Path) -> None:
    code, _, err = finished("server", "start", "--port", "0", "--host", "0.0.0.0", "--insecure")
    assert code == 1
    assert "may only listen on loopback" in err


def test_a_data_folder_in_use_is_refused(stoker: Stoker, folder: Path) -> None:
    with started("server", "start", "--port", "0") as server:
        server.until("next")
        code, _, err = finished("server", "start", "--port", "0")
        assert code == 1
        assert "the data folder is in use by the server http://127.0.0.1:" in err
        assert "Traceback" not in err


def test_a_newer_database_is_one_clear_message(folder: Path) -> None:
    (folder / "data").mkdir()
    connection = sqlite3.connect(folder / "data" / "stoker.db")
    connection.execute("PRAGMA user_version = 4711")
    connection.close()
    code, out, err = finished("server", "start", "--port", "0")
    assert (code, out) == (1, "")
    assert "the database has schema 4711" in err
    assert "Traceback" not in err


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_data_folder_is_named(folder: Path) -> None:
    (folder / "data").mkdir(mode=0)
    code, _, err = finished("server", "start", "--port", "0")
    assert code == 1
    assert str(folder / "data") in err


def test_a_data_folder_that_is_a_file_is_named(folder: Path) -> None:
    (folder / "data").write_text("")
    code, _, err = finished("server", "start", "--port", "0")
    assert code == 1
    assert str(folder / "data") in err
    assert "Traceback" not in err


def test_a_runner_waits_for_a_server_that_is_not_there_yet(
    pipeline: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOKER_URL", "http://127.0.0.1:9")
    with started("runner", "start", "pipeline.py") as runner:
        assert "The runner goes on trying" in runner.until("goes on", err=True)
        runner.until("remedy", err=True)
        runner.until("cannot be reached", err=True)  # so it is up, and listens to signals
        assert runner.end()[0] == 0


def test_a_runner_started_first_finds_the_server_of_its_data_folder_whatever_its_port(
    stoker: Stoker, pipeline: Path, folder: Path
) -> None:
    with started("runner", "start", "pipeline.py") as runner:
        assert str(folder / "data") in runner.until("waiting for one", err=True)
        with started("server", "start", "--port", "0"):
            assert "http://127.0.0.1:" in runner.until("connected to", err=True)
            assert stoker("run", f"{pipeline}:shares", "-i", "x=5").json == 5.0
            assert runner.end()[0] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_runner_without_a_server_ends_when_told(pipeline: Path, folder: Path, number: signal.Signals) -> None:
    with started("runner", "start", "pipeline.py") as runner:
        runner.until("waiting for one", err=True)
        runner.until("remedy", err=True)
        code, _, err = runner.end(number)
    assert code == 0
    assert "Traceback" not in err


def test_settings_survive_the_way_to_the_next_process(folder: Path) -> None:
    (folder / "stoker.toml").write_text('token = "of-this-folder"\n')
    settings = Settings(host="::1", port=0, data=folder / "data", path_prefix="/p", namespace="n")
    assert handed_on(as_environment(settings)) == settings
