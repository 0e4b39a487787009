"""`stoker doctor`: a line for each thing that must be right, and the remedy where it is not."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Stoker
from databases import PASSWORD, Cluster, name_of
from stoker.bootstrap import dialects
from stoker.bootstrap.embedded import Embedded
from stoker.cli import checks
from stoker.config import Settings


def found(stoker: Stoker) -> dict[str, Any]:
    return {one["name"]: one for one in stoker("doctor", "-o", "json").json}


def test_a_fresh_installation_is_well_and_stays_untouched(stoker: Stoker, folder: Path) -> None:
    lines = found(stoker)
    assert {name for name, one in lines.items() if one["status"] != "ok"} == {"server"}
    assert "dialects" not in lines
    assert lines["server"]["status"] == "warn"
    assert list(folder.iterdir()) == []


def test_a_live_server_is_asked_for_everything(stoker: Stoker, server: Embedded, pipeline: Path) -> None:
    stoker("graphs", "push", f"{pipeline}:shares")
    lines = found(stoker)
    assert server.url in lines["server"]["found"]
    assert [lines[name]["status"] for name in ("server", "clock", "token", "runners")] == ["ok", "ok", "ok", "warn"]
    assert lines["telemetry"]["found"].startswith("metrics are off (--metrics token); opentelemetry-sdk ")
    assert stoker("doctor").code == 0
    assert "-> Start one with `stoker runner start FILE`." in stoker("doctor").out


def test_the_other_protocols_of_a_server_are_named(stoker: Stoker, folder: Path) -> None:
    spoken = dialects.made(Settings(dialects=("heat", "exosphere")))
    with Embedded(folder / "data", dialects=spoken):
        assert found(stoker)["dialects"]["found"] == "the server speaks heat, exosphere too"


def test_a_server_that_is_down_fails_with_a_remedy(stoker: Stoker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOKER_URL", "http://127.0.0.1:9")
    answer = stoker("doctor")
    assert answer.code == 1
    assert "http://127.0.0.1:9" in answer.out
    assert "-> Check that the server runs" in answer.out


def test_a_wrong_token_fails(stoker: Stoker, server: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOKER_TOKEN", "wrong")
    assert found(stoker)["token"]["status"] == "fail"


def test_a_bad_setting_fails(stoker: Stoker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOKER_PORT", "many")
    assert "'many' is no port" in found(stoker)["settings"]["found"]


def test_a_newer_database_fails(stoker: Stoker, folder: Path) -> None:
    (folder / "data").mkdir()
    connection = sqlite3.connect(folder / "data" / "stoker.db")
    connection.execute("PRAGMA user_version = 4711")
    connection.close()
    line = found(stoker)["database"]
    assert line["status"] == "fail"
    assert "schema 4711" in line["found"]


def test_a_file_that_is_no_database_fails(stoker: Stoker, folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "stoker.db").write_bytes(b"junk" * 999)
    assert found(stoker)["database"]["status"] == "fail"


def test_a_folder_that_is_a_file_fails(stoker: Stoker, folder: Path) -> None:
    (folder / "data").write_text("")
    assert found(stoker)["data folder"]["status"] == "fail"


def test_a_lock_without_an_address_is_a_warning(stoker: Stoker, folder: Path) -> None:
    (folder / "data").mkdir()
    handle = os.open(folder / "data" / "lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        assert found(stoker)["in use by"]["status"] == "warn"
    finally:
        os.close(handle)


@pytest.mark.parametrize(("free", "status"), [(10, "fail"), (500_000_000, "warn"), (5_000_000_000, "ok")])
def test_a_full_disk_is_seen(stoker: Stoker, monkeypatch: pytest.MonkeyPatch, free: int, status: str) -> None:
    class Usage:
        def __init__(self) -> None:
            self.free = free

    monkeypatch.setattr(checks.shutil, "disk_usage", lambda _: Usage())
    assert found(stoker)["disk"]["status"] == status


def test_a_missing_extra_is_a_warning_and_a_missing_base_a_failure(
    stoker: Stoker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "SERVER", ("not-a-package-of-anyone",))
    monkeypatch.setattr(checks, "BASE", ("not-a-package-of-anyone",))
    lines = found(stoker)
    assert (lines["stoker[server]"]["status"], lines["packages"]["status"]) == ("warn", "fail")


# --- PostgreSQL ---


@pytest.fixture(scope="module")
def durable() -> Iterator[Cluster]:
    """A cluster that loses nothing, and asks for passwords on its port."""
    with Cluster(durable=True, port=0) as cluster:
        yield cluster


@pytest.fixture
def url(durable: Cluster, monkeypatch: pytest.MonkeyPatch) -> str:
    """The settings name a fresh database on it."""
    url = durable.tcp_url(durable.create())
    monkeypatch.setenv("STOKER_DATABASE_URL", url)
    return url


def test_postgresql_is_asked_for_version_schema_and_rights_and_nothing_is_changed(
    stoker: Stoker, folder: Path, durable: Cluster, url: str
) -> None:
    line = found(stoker)["database"]
    assert line["status"] == "ok"
    assert line["found"].startswith("PostgreSQL 1")
    assert "schema 0; brought to" in line["found"]
    assert durable.psql("SELECT COUNT(*) FROM pg_tables WHERE schemaname = 'public'", database=name_of(url)) == "0"
    assert stoker("runs", "list").code == 0
    lines = found(stoker)
    assert "; brought to" not in lines["database"]["found"]
    assert {one["status"] for name, one in lines.items() if name != "server"} == {"ok"}
    assert "asyncpg" in lines["stoker[postgres]"]["found"]
    assert PASSWORD not in stoker("doctor").out


def test_a_database_that_may_lose_commits_is_a_warning(
    stoker: Stoker, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOKER_DATABASE_URL", database)
    line = found(stoker)["database"]
    assert (line["status"], "fsync=on" in line["remedy"]) == ("warn", True)


def test_a_database_without_rights_names_them(
    stoker: Stoker, durable: Cluster, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stoker("runs", "list").code == 0
    durable.psql("CREATE USER poor PASSWORD 'poor'")
    durable.psql("GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO poor", database=name_of(url))
    monkeypatch.setenv("STOKER_DATABASE_URL", url.replace(f"postgres:{PASSWORD}", "poor:poor"))
    line = found(stoker)["database"]
    assert line["status"] == "fail"
    assert "DELETE on the table task" in line["found"]
    assert "INSERT" not in line["found"]
    assert "GRANT" in line["remedy"]
    durable.psql("GRANT DELETE ON ALL TABLES IN SCHEMA public TO poor", database=name_of(url))
    assert found(stoker)["database"]["status"] == "ok"  # to make tables is no longer needed
    durable.psql("UPDATE stoker_schema SET number = 1", database=name_of(url))
    assert "CREATE on the schema public" in found(stoker)["database"]["found"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (PASSWORD, "hush", "it refuses the user or the password"),
        ("127.0.0.1", "127.0.0.2", "it cannot be reached"),
    ],
)
def test_a_database_that_cannot_be_used_fails_with_the_reason(
    stoker: Stoker, url: str, monkeypatch: pytest.MonkeyPatch, old: str, new: str, says: str
) -> None:
    monkeypatch.setenv("STOKER_DATABASE_URL", url.replace(old, new))
    line = found(stoker)["database"]
    assert (line["status"], bool(line["remedy"])) == ("fail", True)
    assert says in line["found"]
    assert "hush" not in line["found"]


def test_a_newer_schema_in_postgresql_fails(stoker: Stoker, durable: Cluster, url: str) -> None:
    stoker("db", "migrate")
    durable.psql("UPDATE stoker_schema SET number = 4711", database=name_of(url))
    line = found(stoker)["database"]
    assert line["status"] == "fail"
    assert "schema 4711; this version knows up to" in line["found"]


def test_another_artifact_folder_than_the_database_knows_fails(
    stoker: Stoker, url: str, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    assert stoker("runs", "list", "--artifacts", str(folder / "shared")).code == 0
    line = found(stoker)["database"]
    assert line["status"] == "fail"
    assert "not the artifact folder of the database" in line["found"]
    monkeypatch.setenv("STOKER_ARTIFACTS", str(folder / "shared"))
    assert found(stoker)["database"]["status"] == "ok"


def test_a_missing_driver_is_one_line(stoker: Stoker, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "POSTGRES", ("not-a-package-of-anyone",))
    lines = found(stoker)
    assert lines["stoker[postgres]"]["status"] == "fail"
    assert lines["stoker[postgres]"]["remedy"] == "pip install 'stoker[postgres]'"
    assert "database" not in lines
