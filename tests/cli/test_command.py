"""The tree of commands: fast, complete, and readable in 80 columns."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cli.conftest import Stoker
from stoker.cli.terminal import home, took

COMMANDS = [
    *("init", "run", "dev", "explain", "doctor", "server start", "runner start"),
    *("graphs list", "graphs get", "graphs push", "tokens create", "tokens list", "tokens revoke"),
    *("roles list", "roles set", "roles delete"),
    *("runs list", "runs get", "runs logs", "runs cancel", "runs retry"),
    *("runs tasks", "tasks retry", "tasks cancel", "audit"),
]
HEAVY = {"aiohttp", "apsw", "asyncio", "pydantic", "starlette", "uvicorn", "watchfiles"}


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_command_explains_itself_in_80_columns(
    stoker: Stoker, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    answer = stoker(*command.split(), "--help")
    assert answer.code == 0
    assert answer.out.startswith("Usage: stoker")
    assert max(map(len, answer.out.splitlines())) <= 80


def test_the_version_is_told(stoker: Stoker) -> None:
    assert stoker("--version").out.startswith("stoker 0.")


@pytest.mark.parametrize("argv", [["--help"], ["run", "--help"], ["server", "start", "--help"], ["runs", "--help"]])
def test_help_imports_nothing_heavy(argv: list[str]) -> None:
    code = f"import sys; from stoker.cli import main; main({argv!r}); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert HEAVY.isdisjoint(done.stderr.split())


def test_the_supervisor_imports_neither_the_command_line_nor_the_server() -> None:
    code = "import sys, stoker.cli.supervising; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (HEAVY | {"cyclopts", "rich", "msgspec"}).isdisjoint(done.stdout.split())


def test_lengths_of_time_are_short() -> None:
    from datetime import timedelta

    spans = {0.0034: "3 ms", 4.21: "4.2 s", 65: "65 s", 600: "10 min", 9000: "2 h", 400_000: "5 d", -1: "0 ms"}
    assert {seconds: took(timedelta(seconds=seconds)) for seconds in spans} == spans


def test_home_is_written_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert (home("/home/me/x"), home("/home/me"), home("/home/men/x")) == ("~/x", "~", "/home/men/x")
