"""`stoker init`: what it makes works as it is printed, and nothing is overwritten."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from cli.conftest import Stoker


def test_the_projects_own_test_passes(stoker: Stoker, folder: Path) -> None:
    assert stoker("init", "demo").code == 0
    done = subprocess.run([sys.executable, "test_pipeline.py"], cwd="demo", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "3 tests passed\n", "")


def test_its_first_command_works_as_printed(stoker: Stoker, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = stoker("init", "demo").out
    command = next(line for line in printed.splitlines() if "stoker run" in line)
    monkeypatch.chdir("demo")
    assert stoker(*shlex.split(command)[1:]).json == 6


def test_its_readme_names_the_same_commands(stoker: Stoker, folder: Path) -> None:
    stoker("init")
    readme = (folder / "README.md").read_text()
    for command in ("stoker run pipeline.py:words --input text=", "python test_pipeline.py", "stoker dev pipeline.py"):
        assert command in readme


def test_nothing_is_overwritten(stoker: Stoker, folder: Path) -> None:
    (folder / "README.md").write_text("mine")
    answer = stoker("init", ".")
    assert answer.code == 1
    assert "README.md exists already" in answer.err
    assert sorted(path.name for path in folder.iterdir()) == ["README.md"]
    assert (folder / "README.md").read_text() == "mine"


def test_json_names_the_files(stoker: Stoker, folder: Path) -> None:
    answer = stoker("init", "demo", "-o", "json")
    assert answer.json == {"folder": "demo", "files": ["pipeline.py", "test_pipeline.py", "README.md"]}


def test_a_folder_that_is_a_file_is_refused(stoker: Stoker, folder: Path) -> None:
    (folder / "demo").write_text("")
    answer = stoker("init", "demo")
    assert answer.code == 1
    assert "cannot be written" in answer.err
