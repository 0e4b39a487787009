"""`stoker doctor`: a line for each thing that must be right, and the remedy where it is not."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Stoker
from stoker.bootstrap.embedded import Embedded
from stoker.cli import checks


def found(stoker: Stoker) -> dict[str, Any]:
    return {one["name"]: one for one in stoker("doctor", "-o", "json").json}


def test_a_fresh_installation_is_well_and_stays_untouched(stoker: Stoker, folder: Path) -> None:
    lines = found(stoker)
    assert {name for name, one in lines.items() if one["status"] != "ok"} == {"server"}
    assert lines["server"]["status"] == "warn"
    assert list(folder.iterdir()) == []


def test_a_live_server_is_asked_for_everything(stoker: Stoker, server: Embedded, pipeline: Path) -> None:
    stoker("graphs", "push", f"{pipeline}:shares")
    lines = found(stoker)
    assert server.url in lines["server"]["found"]
    assert [lines[name]["status"] for name in ("server", "clock", "token", "runners")] == ["ok", "ok", "ok", "warn"]
    assert stoker("doctor").code == 0
    assert "-> Start one with `stoker runner start FILE`." in stoker("doctor").out


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
