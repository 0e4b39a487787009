"""`stoker db`: what it shows, what it moves, and what it refuses."""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.conftest import Stoker
from cli.processes import finished, started
from databases import PASSWORD, Bouncer, Cluster, has_bouncer, name_of, until
from stoker.bootstrap.databases import masked
from stoker.bootstrap.embedded import Embedded
from stoker.storage import queries

NEWEST = queries.newest("sqlite")


@pytest.fixture(scope="module")
def guarded() -> Iterator[Cluster]:
    """A cluster that asks for passwords, on a port."""
    with Cluster(port=0) as cluster:
        yield cluster


@pytest.fixture
def installation(stoker: Stoker, pipeline: Path, folder: Path) -> Path:
    """A data folder with a run in it."""
    assert stoker("run", f"{pipeline}:shares", "-i", "x=5").json == 5.0
    return folder / "data"


# --- status ---


def test_a_fresh_folder_has_no_database_yet_and_gets_none_by_looking(stoker: Stoker, folder: Path) -> None:
    answer = stoker("db", "status")
    assert answer.code == 0
    assert "none yet; it is made at the first start" in answer.out
    assert list(folder.iterdir()) == []


def test_the_status_counts_what_people_know(stoker: Stoker, installation: Path) -> None:
    found = stoker("db", "status", "-o", "json").json
    assert found["database"] == str(installation / "stoker.db")
    assert (found["product"], found["schema"], found["newest"]) == ("SQLite", NEWEST, NEWEST)
    assert (found["namespaces"], found["graphs"], found["runs"], found["tasks"]) == (1, 1, {"SUCCEEDED": 1}, 4)
    assert (found["artifacts"], found["tokens"], found["servers"]) == ({"count": 0, "bytes": 0}, 0, [])
    lines = dict(line.split(None, 1) for line in stoker("db", "status").out.splitlines())
    assert (lines["runs"], lines["tasks"], lines["schema"]) == ("1: 1 SUCCEEDED", "4", f"{NEWEST}, the newest")
    assert lines["servers"] == "none is alive"


def test_beside_a_server_it_says_which(stoker: Stoker, server: Embedded) -> None:
    assert stoker("db", "status", "-o", "json").json["servers"] == [server.url]
    assert f"1 alive: {server.url}" in stoker("db", "status").out


def test_on_postgresql_it_is_asked_there_and_its_password_is_not_shown(
    stoker: Stoker, guarded: Cluster, folder: Path
) -> None:
    url = guarded.tcp_url(guarded.create())
    assert "none yet" in stoker("db", "status", "--database-url", url).out
    with started("server", "start", "--port", "0", "--database-url", url) as server:
        named = server.until("database:")
        assert f"database: postgresql://127.0.0.1:{guarded.port}/{name_of(url)}, artifacts in {folder}" in named
        assert PASSWORD not in named
        server.until("next")
        answer = stoker("db", "status", "--database-url", url)
        assert answer.code == 0
        assert PASSWORD not in answer.out + answer.err
        assert f"127.0.0.1:{guarded.port}/{name_of(url)}" in answer.out
        assert f"1 alive: {socket.gethostname()}-" in answer.out  # and its process id: several may be on one machine
        found = stoker("db", "status", "--database-url", url, "-o", "json").json
        assert (found["product"], found["schema"], len(found["servers"])) == ("PostgreSQL", NEWEST, 1)
        assert found["version"][0].isdigit()
    assert stoker("db", "status", "--database-url", url, "-o", "json").json["servers"] == []
    listed = stoker("runs", "list", "--database-url", url)
    place = f"the database postgresql://127.0.0.1:{guarded.port}/{name_of(url)}"
    assert f"no runs in the namespace 'default' in {place} (no server" in listed.err
    assert PASSWORD not in listed.err


def test_another_schema_is_said_with_what_to_do(stoker: Stoker, folder: Path) -> None:
    (folder / "data").mkdir()
    for number, says in ((1, "`stoker db migrate`"), (4711, "upgrade it")):
        connection = sqlite3.connect(folder / "data" / "stoker.db")
        for known, _, sql in queries.migrations("sqlite"):
            if known <= number == 1:
                connection.executescript(sql)
        connection.execute(f"PRAGMA user_version = {number}")
        connection.close()
        answer = stoker("db", "status")
        assert answer.code == 0
        assert f"schema      {number}; " in answer.out or f"schema    {number}; " in answer.out
        assert says in answer.out


# --- migrate ---


def test_migrating_says_from_where_to_where(stoker: Stoker, database: str) -> None:
    for more in ((), ("--database-url", database)):
        assert f"was brought from schema 0 to {NEWEST}" in stoker("db", "migrate", *more).out
        assert f"has schema {NEWEST} already; there is nothing to do" in stoker("db", "migrate", *more).out
        assert stoker("db", "migrate", *more, "-o", "json").json["to"] == NEWEST


def test_a_newer_schema_is_not_migrated(stoker: Stoker, folder: Path, database: str, cluster: Cluster) -> None:
    for more in ((), ("--database-url", database)):
        stoker("db", "migrate", *more)
    connection = sqlite3.connect(folder / "data" / "stoker.db")
    connection.execute("PRAGMA user_version = 4711")
    connection.close()
    cluster.psql("UPDATE stoker_schema SET number = 4711", database=name_of(database))
    for more in ((), ("--database-url", database)):
        for command in (["db", "migrate"], ["db", "move", "--to", str(folder / "to")], ["runs", "list"]):
            answer = stoker(*command, *more)
            assert (answer.code, answer.out) == (1, "")
            assert "the database has schema 4711" in answer.err
            assert "Upgrade Stoker" in answer.err


@pytest.mark.skipif(not has_bouncer(), reason="PgBouncer is not on this machine")
def test_a_pool_in_between_is_no_obstacle_to_look_and_to_migrate(
    stoker: Stoker, database: str, cluster: Cluster
) -> None:
    with Bouncer(cluster) as bouncer:
        url = bouncer.url(database) + "&pgbouncer=true"
        assert f"was brought from schema 0 to {NEWEST}" in stoker("db", "migrate", "--database-url", url).out
        for _ in range(2):
            assert stoker("db", "status", "--database-url", url, "-o", "json").json["schema"] == NEWEST
        assert "not moved through a pool" in stoker("db", "move", "--database-url", url, "--to", "new").err


# --- move ---


def test_a_move_shows_each_table_and_what_to_set_next(
    stoker: Stoker, installation: Path, folder: Path, database: str, cluster: Cluster
) -> None:
    answer = stoker("db", "move", "--to", database)
    assert answer.code == 0
    rows = {line.split()[0]: line.split()[1:] for line in answer.out.splitlines() if line.endswith(" ok")}
    assert rows["task"][0] == "4"
    assert all(len(row) == 3 and len(row[1]) == 12 for row in rows.values())
    assert f"STOKER_DATABASE_URL={database}" in answer.out
    assert f"STOKER_ARTIFACTS={installation / 'artifacts'}" in answer.out
    runs = stoker("runs", "list", "--database-url", database, "-o", "json").json["items"]
    assert runs == stoker("runs", "list", "-o", "json").json["items"]
    assert len(runs) == 1


def test_a_move_back_names_the_folder(stoker: Stoker, installation: Path, folder: Path, database: str) -> None:
    assert stoker("db", "move", "--to", database).code == 0
    answer = stoker("db", "move", "--database-url", database, "--to", "back", "-o", "json")
    assert answer.code == 0
    assert answer.json["settings"] == {
        "STOKER_DATA": str(folder / "back"),
        "STOKER_DATABASE_URL": None,
        "STOKER_ARTIFACTS": None,
    }
    assert {one["table"]: one["rows"] for one in answer.json["tables"]}["task"] == 4
    assert len(stoker("runs", "list", "--data", "back", "-o", "json").json["items"]) == 1
    assert (folder / "back" / "token").read_text() == (installation / "token").read_text()


WAITING = """
import time
from pathlib import Path

import stoker


@stoker.node
def waits(flag: str) -> str:
    Path(flag).with_name("begun").touch()
    while not Path(flag).exists():
        time.sleep(0.01)
    return "done"


@stoker.graph
def patient(flag: str):
    return waits(flag)
"""


def test_a_runner_that_is_at_work_during_the_move_reports_to_the_new_database(
    stoker: Stoker, folder: Path, database: str, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "waiting.py").write_text(WAITING)
    port, flag = str(free_port()), folder / "flag"
    monkeypatch.setenv("STOKER_URL", f"http://127.0.0.1:{port}")
    with started("server", "start", "--port", port) as server:
        server.until("next")
        monkeypatch.setenv("STOKER_TOKEN", (folder / "data" / "token").read_text().strip())
        with started("runner", "start", "waiting.py") as runner:
            runner.until("connected to", err=True)
            assert stoker("run", "waiting.py:patient", "-i", f"flag={flag}", "--timeout", "1ms").code == 5
            until((folder / "begun").exists, "the task to begin")
            assert server.end()[0] == 0
            assert stoker("db", "move", "--to", database).code == 0
            with started("server", "start", "--port", port, "--database-url", database) as moved:
                moved.until("next")
                flag.touch()
                answer = stoker("runs", "get", "1", "--wait", "-o", "json")
                assert answer.code == 0
                assert answer.json["state"] == "SUCCEEDED"
                once = cluster.psql("SELECT attempt, losses FROM task", database=name_of(database))
                assert once == "1|0"  # what it began before the move is what was accepted after it
                assert runner.end()[0] == 0
    assert stoker("db", "status", "--database-url", database, "-o", "json").json["runs"] == {"SUCCEEDED": 1}
    monkeypatch.delenv("STOKER_URL")
    assert stoker("db", "status", "-o", "json").json["runs"] == {"RUNNING": 1}  # the source is as it was


def test_the_password_of_the_target_is_not_shown(stoker: Stoker, installation: Path, guarded: Cluster) -> None:
    url = guarded.tcp_url(guarded.create())
    answer = stoker("db", "move", "--to", url)
    assert answer.code == 0
    assert f"STOKER_DATABASE_URL={url.replace(PASSWORD, '***')}" in answer.out
    assert "copied run: 1\n" in answer.err
    assert "copied token" not in answer.err  # what is empty is in the table alone
    assert PASSWORD not in answer.out + answer.err


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:p@h:1/d", "postgresql://u:***@h:1/d"),
        ("postgresql://u@h/d?pgbouncer=true", "postgresql://u@h/d?pgbouncer=true"),
        ("postgresql:///d?host=/run/pg&password=p", "postgresql:///d?host=/run/pg&password=***"),
        ("postgres://u:a%40b@h1,h2:2/d?sslpassword=x", "postgres://u:***@h1,h2:2/d?sslpassword=***"),
    ],
)
def test_a_url_is_shown_with_stars_for_its_secrets(url: str, shown: str) -> None:
    assert masked(url) == shown


def test_a_target_that_is_not_empty_is_refused(
    stoker: Stoker, installation: Path, folder: Path, database: str, pipeline: Path
) -> None:
    assert stoker("run", f"{pipeline}:shares", "-i", "x=1", "--database-url", database).code == 0
    assert stoker("run", f"{pipeline}:shares", "-i", "x=1", "--data", "other").code == 0
    for target in (database, "other"):
        answer = stoker("db", "move", "--to", target)
        assert (answer.code, answer.out) == (1, "")
        assert "the target is not empty" in answer.err
        assert "Nothing was changed" in answer.err


def test_while_a_server_runs_nothing_is_moved(
    stoker: Stoker, installation: Path, folder: Path, database: str, served: Embedded
) -> None:
    for command in (["--data", str(served.data), "--to", database], ["--to", str(served.data)]):
        answer = stoker("db", "move", *command)
        assert (answer.code, answer.out) == (1, "")
        assert f"in use by the server {served.url}" in answer.err
    with started("server", "start", "--port", "0", "--database-url", database, "--data", "pg") as server:
        server.until("next")
        for command in (["--to", database], ["--database-url", database, "--to", "new", "--artifacts", "pg/artifacts"]):
            answer = stoker("db", "move", *command)
            assert (answer.code, answer.out) == (1, "")
            assert "the database is in use: a server works on it" in answer.err
            assert "Stop the servers" in answer.err


@pytest.mark.parametrize(
    ("target", "code", "says"),
    [
        ("mysql://u:hush@h/d", 1, "it does not begin with postgresql://"),
        ("postgresql://u:hu/sh@h/d", 1, "--to"),
        ("data", 1, "source and target are the same"),
    ],
)
def test_a_bad_target_is_refused(stoker: Stoker, installation: Path, target: str, code: int, says: str) -> None:
    answer = stoker("db", "move", "--to", target)
    assert (answer.code, answer.out) == (code, "")
    assert says in answer.err
    assert "hu" not in answer.err


def test_a_move_without_a_target_is_not_understood(stoker: Stoker) -> None:
    answer = stoker("db", "move")
    assert answer.code == 2
    assert "--to" in answer.err


def test_a_source_without_a_database_is_said(stoker: Stoker, folder: Path, database: str) -> None:
    answer = stoker("db", "move", "--to", database)
    assert answer.code == 1
    assert "there is no database to move" in answer.err
    assert not (folder / "data").exists()
    answer = stoker("db", "move", "--database-url", database, "--to", "new")
    assert "the source has no tables of Stoker" in answer.err


# --- what stands in the way of reaching it ---


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def unreachable() -> str:
    """A URL at which nobody listens."""
    return f"postgresql://u:hush@127.0.0.1:{free_port()}/d"


@pytest.mark.parametrize("command", ["db status", "db migrate", "db move --to new"])
def test_a_database_that_cannot_be_used_is_named_with_the_reason_and_the_remedy(
    stoker: Stoker, guarded: Cluster, folder: Path, command: str
) -> None:
    good = guarded.tcp_url("postgres")
    cases = {
        unreachable(): ("it cannot be reached", "Start it, or check host and port"),
        good.replace(PASSWORD, "hush"): ("it refuses the user or the password", "Check both"),
        guarded.tcp_url("missing"): ("the database does not exist", "createdb"),
    }
    for url, (says, remedy) in cases.items():
        answer = stoker(*command.split(), "--database-url", url)
        assert (answer.code, answer.out) == (1, "")
        assert says in answer.err
        assert remedy in answer.err
        assert "hush" not in answer.err
        assert PASSWORD not in answer.err
        assert "127.0.0.1" in answer.err
        assert "Traceback" not in answer.err
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("command", ["runs list", "server start --port 0"])
def test_a_server_whose_database_refuses_it_ends_with_the_reason(
    stoker: Stoker, guarded: Cluster, folder: Path, command: str
) -> None:
    url = guarded.tcp_url("postgres").replace(PASSWORD, "hush")
    code, out, err = finished(*command.split(), "--database-url", url)
    assert (code, out) == (1, "")
    assert "it refuses the user or the password" in err
    assert "hush" not in err
    assert "Traceback" not in err


def test_errors_are_json_for_programs(stoker: Stoker) -> None:
    answer = stoker("db", "status", "--database-url", unreachable(), "-o", "json")
    assert json.loads(answer.err)["error"]["code"] == "database"
