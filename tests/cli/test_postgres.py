"""The command line on a PostgreSQL database: servers, commands that are one themselves, and what is refused."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.conftest import Stoker
from cli.processes import finished, started
from databases import PASSWORD, Cluster, name_of


def test_a_server_on_postgresql_keeps_what_the_next_command_finds_there(
    stoker: Stoker, pipeline: Path, folder: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with started("server", "start", "--port", "0", "--database-url", database) as server:
        server.until("next")
        with started("runner", "start", "pipeline.py") as runner:
            runner.until("connected to", err=True)
            assert stoker("run", f"{pipeline}:shares", "-i", "x=5").json == 5.0
        assert server.end()[0] == 0
    assert not (folder / "data" / "stoker.db").exists()
    assert [run["graph"] for run in stoker("runs", "list", "--database-url", database, "-o", "json").json["items"]] == [
        "shares"
    ]
    assert stoker("runs", "list", "-o", "json").json["items"] == []


def test_a_command_without_a_server_is_one_on_the_database_of_the_settings(
    stoker: Stoker, pipeline: Path, folder: Path, database: str, cluster: Cluster
) -> None:
    (folder / "stoker.toml").write_text(f'database_url = "{database}"\n')
    assert stoker("run", f"{pipeline}:shares", "-i", "x=5").json == 5.0
    assert cluster.psql("SELECT COUNT(*) FROM run", database=name_of(database)) == "1"


def test_dev_serves_on_the_database(
    folder: Path, pipeline: Path, database: str, cluster: Cluster, stoker: Stoker
) -> None:
    with started("dev", "pipeline.py", "--database-url", database, "--artifacts", "shared") as dev:
        dev.until("stoker dev serves", err=True)
        assert stoker("run", f"{pipeline}:shares", "-i", "x=5").json == 5.0
        assert dev.end()[0] == 0
    assert cluster.psql("SELECT COUNT(*) FROM run", database=name_of(database)) == "1"
    assert (folder / "shared" / "id").exists()
    assert not (folder / "data" / "artifacts").exists()


@pytest.fixture(scope="module")
def guarded() -> Iterator[Cluster]:
    """A cluster that asks for passwords."""
    with Cluster(port=0) as cluster:
        yield cluster


def test_the_password_is_no_argument_of_any_process_and_on_no_line(folder: Path, guarded: Cluster) -> None:
    url = guarded.tcp_url(guarded.create())
    with started("server", "start", "--port", "0", "--database-url", url) as server:
        server.until("next")
        for command in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                assert PASSWORD.encode() not in command.read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
        code, out, err = server.end()
    assert code == 0
    assert PASSWORD not in out + err


def test_without_the_driver_the_extra_is_named(
    folder: Path, pipeline: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "asyncpg.py").write_text("raise ModuleNotFoundError(\"No module named 'asyncpg'\", name='asyncpg')\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("STOKER_DATABASE_URL", database)
    for command in (["server", "start", "--port", "0"], ["runs", "list"], ["dev", "pipeline.py"], ["db", "status"]):
        code, out, err = finished(*command)
        assert (code, out) == (1, "")
        assert "the package 'asyncpg' is missing" in err
        assert "pip install 'stoker[postgres]'" in err
        assert "Traceback" not in err
    assert finished("run", "pipeline.py:shares", "-i", "x=5")[0] == 1
    monkeypatch.delenv("STOKER_DATABASE_URL")
    assert finished("run", "pipeline.py:shares", "-i", "x=5")[0] == 0


def test_a_server_with_another_artifact_folder_is_refused(folder: Path, stoker: Stoker, database: str) -> None:
    first = stoker("runs", "list", "--database-url", database, "--artifacts", str(folder / "shared"))
    assert first.code == 0
    code, out, err = finished("server", "start", "--port", "0", "--database-url", database)
    assert (code, out) == (1, "")
    assert "this is not the artifact folder of the database" in err
    assert str(folder / "data" / "artifacts") in err
    assert "--artifacts" in err
    second = stoker("runs", "list", "--database-url", database, "--artifacts", str(folder / "shared"), "--data", "d2")
    assert second.code == 0
