"""What is refused, in which words, and with which exit code; never with a traceback."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from pathlib import Path

import pytest

from cli.conftest import Stoker
from stoker.bootstrap.embedded import Embedded
from stoker.cli import main

USAGE, REFUSED = 2, 1


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        ("runs get 99", REFUSED, "has no run 99"),
        ("runs cancel 99", REFUSED, "no run 99"),
        ("runs retry 99", REFUSED, "no run 99"),
        ("runs logs 99", REFUSED, "no run 99.\n  place: runs/99\n  remedy: `stoker runs list` lists them."),
        ("runs logs 99 -f", REFUSED, "no run 99"),
        ("runs get abc", USAGE, "'abc' is no id of a run"),
        ("runs get 0", USAGE, "'0' is no id of a run"),
        ("runs get -1", USAGE, "-1"),
        ("runs get task:1", USAGE, "'task:1' is no id of a run"),
        (f"runs get {'9' * 400}", USAGE, "is no id of a run"),
        ("runs get 00000000-0000-8002-ac87-b782b806c4a3", USAGE, "what other protocols call run 2: write 2."),
        ("explain run:00000000-0000-8002-ac87-b782b806c4a3", USAGE, "what other protocols call run 2: write 2."),
        ("runs get 00000000-0000-4002-ac87-b782b806c4a3", USAGE, "Give a number from 1"),
        ("explain 9-2-9dcd8e1c9097987c", USAGE, "attempt 2 of task 9: `stoker explain task:9`."),
        ("explain foo", USAGE, "'foo' names neither a run nor a task"),
        ("explain nightly", USAGE, "schedule:nightly for a schedule"),
        ("explain run:", USAGE, "'run:' names neither"),
        ("explain task:99", REFUSED, "has no task 99"),
        ("runs list --state DONE", USAGE, 'invalid value "DONE" for --state'),
        ("runs list --after junk", REFUSED, "not a cursor"),
        ("runs list --limit 0", REFUSED, "limit"),
        ("runs list --nope", USAGE, "unknown option: --nope"),
        ("runs nope", USAGE, "nope"),
        ("nope", USAGE, 'unknown command "nope"'),
        ("logs 99", USAGE, 'unknown command "logs"\n  remedy: Is it `stoker runs logs`?'),
        ("gc", USAGE, "Is it `stoker server gc`?"),
        ("schedule list", USAGE, "Is it `stoker schedules`?"),
        ("runs fork 99", USAGE, 'unknown command "runs fork"\n  remedy: Is it `stoker fork`?'),
        ("tasks list", USAGE, 'unknown command "tasks list"\n  remedy: Is it `stoker runs tasks`?'),
        ("schedules get x", USAGE, "Is it `stoker schedules show`?"),
        ("tokens rm 1", USAGE, "Is it `stoker tokens revoke`?"),
        ("explain 99 what", USAGE, "`stoker explain` does not take 'what'"),
        ("tokens revoke anna", USAGE, "`stoker tokens list` shows them"),
        ("graphs get nope", REFUSED, "has not got a graph 'nope'"),
        ("graphs push nope.py", REFUSED, "there is no file nope.py"),
        ("tokens create x", USAGE, "needs a role, or at least one scope"),
        ("tokens create x --scope read --namespace lab", USAGE, "Write --only-namespace lab, or leave it out"),
        ("tokens create x --role captain", REFUSED, "no role 'captain'"),
        ("roles set x", USAGE, "needs at least one scope"),
        ("roles set admin --scope read", REFUSED, "the role 'admin' is built in"),
        ("roles delete x", REFUSED, "no role 'x'"),
        ("audit who=anna", REFUSED, "there is no field 'who'"),
        ("audit --limit 0", REFUSED, "limit"),
        ("tokens create x --scope fly", USAGE, 'invalid value "fly"'),
        ("tokens create x --scope read --expires soon", USAGE, "a duration is"),
        ("tokens revoke 99", REFUSED, "no token 99"),
        ("run nope.py:g", REFUSED, "there is no file nope.py"),
        ("runner start nope.py", REFUSED, "there is no file nope.py"),
        ("runner start", USAGE, "requires an argument"),
        ("dev nope.py", REFUSED, "there is no file nope.py"),
        ("server start --port 99999", REFUSED, "99999 is no port"),
        ("server start --port x", USAGE, 'unable to convert "x" into int'),
        (
            "server start --database-url mysql://db/x",
            REFUSED,
            "a URL with 'mysql' is no address of a PostgreSQL database",
        ),
        ("server start --database-url sqlite:x.db", REFUSED, "the SQLite file always lies in the data folder"),
        ("server start --database-url postgresql://db/x?pgbouncer=yes", REFUSED, "neither true nor false"),
        ("server start --database-url postgresql://db:port/x", REFUSED, "its host or port cannot be read"),
        ("runs list --database-url db", REFUSED, "database_url: that is no address of a PostgreSQL database"),
        ("server start --dialects spheres", REFUSED, "there is no dialect 'spheres'"),
        ("server start --config nope.toml", REFUSED, "there is no file nope.toml"),
        ("server start --path-prefix x", REFUSED, "is no path prefix"),
        ("runs list --url ftp://x", REFUSED, "is no URL"),
    ],
)
def test_bad_input_is_answered_with_the_reason(
    stoker: Stoker, server: Embedded, pipeline: Path, command: str, code: int, says: str
) -> None:
    stoker("graphs", "push", f"{pipeline}:shares")
    answer = stoker(*command.split())
    assert (answer.code, answer.out) == (code, "")
    assert answer.err.startswith("error: ")
    assert says in answer.err
    assert "Traceback" not in answer.err


def test_errors_are_json_for_programs(stoker: Stoker, server: Embedded) -> None:
    answer = stoker("runs", "get", "abc", "-o", "json")
    assert (answer.code, answer.out) == (USAGE, "")
    assert json.loads(answer.err)["error"]["code"] == "bad_id"


def test_a_wrong_token_is_refused_and_the_server_is_named(
    stoker: Stoker, server: Embedded, monkeypatch: pytest.MonkeyPatch, pipeline: Path
) -> None:
    monkeypatch.setenv("STOKER_TOKEN", "wrong")
    for command in (["runs", "list"], ["runner", "start", str(pipeline)]):
        answer = stoker(*command)
        assert answer.code == REFUSED
        assert f"{server.url} wants a token, and the one that was sent is refused" in answer.err
        assert "STOKER_TOKEN" in answer.err


def test_a_token_of_one_data_folder_is_not_sent_elsewhere(
    stoker: Stoker, server: Embedded, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOKER_DATA", str(folder / "other"))
    (folder / "other").mkdir()
    (folder / "other" / "token").write_text("stk_of_this_folder")
    answer = stoker("runs", "list", "--url", server.url)
    assert answer.code == REFUSED
    assert "wants a token, and none is set" in answer.err


@pytest.mark.parametrize("command", ["runs list", "graphs list", "explain 1", "tokens list"])
def test_a_server_that_is_down_is_named(stoker: Stoker, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOKER_URL", "http://127.0.0.1:9")
    answer = stoker(*command.split())
    assert answer.code == REFUSED
    assert "http://127.0.0.1:9" in answer.err
    assert "stoker server start" in answer.err


def test_a_file_that_a_killed_server_left_is_not_believed(stoker: Stoker, folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "server.json").write_text(json.dumps({"url": "http://127.0.0.1:9", "pid": os.getpid()}))
    assert stoker("runs", "list").code == 0


def test_a_newer_database_file_is_refused(stoker: Stoker, pipeline: Path, folder: Path) -> None:
    (folder / "data").mkdir()
    with sqlite3.connect(folder / "data" / "stoker.db") as connection:
        connection.execute("PRAGMA user_version = 4711")
    connection.close()
    answer = stoker("run", f"{pipeline}:shares", "-i", "x=1")
    assert answer.code == REFUSED
    assert "the database has schema 4711" in answer.err
    assert "Upgrade Stoker" in answer.err


def test_a_data_folder_that_is_a_file_is_refused(stoker: Stoker, folder: Path) -> None:
    (folder / "data").write_text("")
    answer = stoker("runs", "list")
    assert answer.code == REFUSED
    assert str(folder / "data") in answer.err


def test_a_reader_that_goes_away_is_no_error(monkeypatch: pytest.MonkeyPatch, server: Embedded) -> None:
    class Gone:
        def write(self, text: str) -> int:
            raise BrokenPipeError

        def flush(self) -> None: ...
        def isatty(self) -> bool:
            return False

        def fileno(self) -> int:
            return os.open(os.devnull, os.O_WRONLY)

    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Gone())
        assert main(["runs", "list", "-o", "json"]) == 141


def test_windows_is_said_to_be_unsupported(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert main(["--help"]) == REFUSED
    assert "does not support Windows" in capsys.readouterr().err
