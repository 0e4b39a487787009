"""What the selftest hears from its processes' logs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stoker.errors import Unavailable
from stoker.selftest.site import Site, faults_of, until


def test_a_traceback_in_a_log_is_told_by_its_last_line(tmp_path: Path) -> None:
    log = tmp_path / "server-1.log"
    code = "print('ready', flush=True)\ndef fails():\n    raise ValueError('made up')\nfails()"
    with log.open("ab") as file:
        for _ in range(2):
            subprocess.run([sys.executable, "-c", code], stdout=file, stderr=file, check=False)
    assert faults_of(log) == ["server-1.log has 2 times: ValueError: made up"]


def test_a_log_without_one_tells_nothing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("stoker is ready\nthe server cannot be reached; trying again\n")
    assert faults_of(log) == []


def test_a_server_that_does_not_start_is_told_with_what_it_said(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "server-1").write_text("no folder")
    with (
        Site(tmp_path / "site") as site,
        pytest.raises(Unavailable, match=r"server-1 did not start: it said[\s\S]*cannot be used"),
    ):
        site.add_server()
    assert site.servers == []


def test_a_fact_that_does_not_come_is_an_error_and_one_that_is_away_is_asked_again() -> None:
    answers = iter([None, Unavailable("away"), 7])

    def look() -> int | None:
        found = next(answers)
        if isinstance(found, Unavailable):
            raise found
        return found

    assert until(look, 10, "a number") == 7
    with pytest.raises(Unavailable, match=r"waited 0\.05 s for nothing"):
        until(lambda: None, 0.05, "nothing")
