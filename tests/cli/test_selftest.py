"""`stoker selftest`: what it says, what it leaves behind, and what it refuses."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.conftest import Stoker
from cli.processes import started
from databases import Cluster, name_of
from stoker.selftest import checker
from stoker.selftest.evidence import Wrong


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the selftest makes its folders."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield folder
    monkeypatch.setattr(tempfile, "tempdir", None)


def kept(temporary: Path) -> list[Path]:
    return list(temporary.glob("stoker-selftest-*"))


def test_the_quick_check_says_what_it_did_and_leaves_nothing(
    stoker: Stoker, temporary: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOKER_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")  # the user's: not touched
    (folder / "stoker.toml").write_text("port = 1\n")
    answer = stoker("selftest")
    assert (answer.code, answer.err) == (0, "")
    names = [line.split(":")[0].split(maxsplit=1) for line in answer.out.splitlines()]
    assert names[:5] == [
        ["ok", "map and join"],
        ["ok", "nested fan-out"],
        ["ok", "retry"],
        ["ok", "tolerated failure"],
        ["ok", "artifact"],
    ]
    assert "ok: 5 graphs, 45 tasks, each settled once" in answer.out
    assert kept(temporary) == []
    assert not (folder / "data").exists()


def test_its_folder_is_kept_on_request_and_named(stoker: Stoker, temporary: Path) -> None:
    answer = stoker("selftest", "--keep", "-o", "json")
    assert answer.code == 0
    (folder,) = kept(temporary)
    assert answer.json["ok"] is True
    assert answer.json["folder"] == str(folder)
    assert answer.json["wrong"] == []
    assert [case["tasks"] for case in answer.json["cases"]] == [12, 22, 1, 8, 2]
    assert (folder / "site" / "server-1" / "stoker.db").exists()
    assert sorted(path.name for path in (folder / "site" / "logs").iterdir()) == ["runner-1.log", "server-1.log"]


def test_what_is_wrong_is_said_with_where_the_logs_lie(
    stoker: Stoker, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checker, "wrongs", lambda _: [Wrong("one result per task", "run 1: made up")])
    answer = stoker("selftest")
    assert answer.code == 1
    assert "wrong: one result per task: run 1: made up" in answer.out
    (folder,) = kept(temporary)
    assert f"kept in {folder}" in answer.out


def test_the_grinder_reports_in_json(stoker: Stoker, temporary: Path) -> None:
    answer = stoker("selftest", "--chaos", "3s", "--seed", "5", "-o", "json")
    assert answer.code == 0, answer.out
    assert (answer.json["ok"], answer.json["seed"], answer.json["servers"]) == (True, 5, 1)
    assert sum(answer.json["blows"].values()) >= 1
    assert "3 s of blows begin, seed 5" in answer.err
    assert kept(temporary) == []


def test_a_failed_grind_names_its_seed(stoker: Stoker, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checker, "run_wrongs", lambda *_: [Wrong("acknowledged runs exist", "run 3 is gone")])
    answer = stoker("selftest", "--chaos", "1s", "--seed", "6")
    assert answer.code == 1
    assert "wrong: acknowledged runs exist: run 3 is gone" in answer.out
    assert "again: stoker selftest --chaos 1s --seed 6" in answer.out
    assert len(kept(temporary)) == 1


def test_it_works_on_an_empty_database_and_refuses_one_that_is_not(
    stoker: Stoker, temporary: Path, database: str, cluster: Cluster
) -> None:
    assert stoker("selftest", "--database-url", database).code == 0
    assert cluster.psql("SELECT COUNT(*) FROM run", database=name_of(database)) == "5"
    again = stoker("selftest", "--database-url", database)
    assert (again.code, again.out) == (1, "")
    assert "the database is not empty" in again.err
    assert "remedy: Make one for this alone" in again.err
    assert cluster.psql("SELECT COUNT(*) FROM run", database=name_of(database)) == "5"
    assert kept(temporary) == []


def test_a_database_with_somebody_elses_table_is_refused(
    stoker: Stoker, database: str, cluster: Cluster, temporary: Path
) -> None:
    cluster.psql("CREATE TABLE accounts (id INT)", database=name_of(database))
    answer = stoker("selftest", "--chaos", "1s", "--database-url", database, "-o", "json")
    assert answer.code == 1
    error = json.loads(answer.err)["error"]
    assert error["code"] == "database_not_empty"
    assert "'accounts'" in error["message"]
    assert cluster.psql("SELECT COUNT(*) FROM pg_tables WHERE schemaname = 'public'", database=name_of(database)) == "1"
    assert kept(temporary) == []


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (["--chaos", "soon"], 2, "Write 90s, 5m or 1h30m."),
        (["--chaos", "0s"], 2, "--chaos takes some time"),
        (["--seed", "1"], 2, "--seed is for --chaos"),
        (["--database-url", "mysql://host/name"], 1, "place: --database-url"),
        (["--database-url", "postgresql://nobody@127.0.0.1:1/nothing"], 1, "remedy:"),
    ],
)
def test_what_makes_no_sense_is_refused(stoker: Stoker, temporary: Path, argv: list[str], code: int, says: str) -> None:
    answer = stoker("selftest", *argv)
    assert (answer.code, answer.out) == (code, "")
    assert says in answer.err
    assert "Traceback" not in answer.err
    assert kept(temporary) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_grind_ends_all_that_it_started(temporary: Path, number: signal.Signals) -> None:
    before = _processes_in(temporary)
    with started("selftest", "--chaos", "60s", "--seed", "1") as command:
        command.until("blows begin", err=True)
        assert _processes_in(temporary) > before
        code, _, err = command.end(number)
    assert code == 130
    assert "Traceback" not in err
    assert _processes_in(temporary) == before
    assert kept(temporary) == []


def _processes_in(folder: Path) -> int:
    """How many processes work in a folder below this one."""
    count = 0
    for path in Path("/proc").glob("[0-9]*/cwd"):
        try:
            count += os.readlink(path).startswith(str(folder))
        except OSError:
            continue
    return count


def test_it_explains_itself_in_80_columns(stoker: Stoker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    answer = stoker("selftest", "--help")
    assert answer.out.startswith("Usage: stoker selftest")
    assert max(map(len, answer.out.splitlines())) <= 80
