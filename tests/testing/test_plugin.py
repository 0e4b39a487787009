"""The pytest plugin: what a user's test file gets without a conftest."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE = """
import stoker
import pytest


@stoker.node
def double(n: int) -> int:
    return 2 * n


@stoker.graph
def doubled(n: int):
    return double(n)


def test_in_a_world(stoker_world):
    assert stoker_world.run(doubled, n=2) == 4


@pytest.mark.stoker(seed=7, runners=3)
def test_with_options(stoker_world):
    assert (stoker_world.seed, len(stoker_world.runners)) == (99, 3)  # the seed of the command line


def test_that_fails(stoker_world):
    assert stoker_world.run(doubled, n=2) == 5


def test_on_a_server(stoker_server, stoker_runner):
    stoker_runner(doubled, name="mine")
    assert stoker_server.client.trigger(doubled, n=3).result(timeout=30) == 6
    assert [runner.name for runner in stoker_server.client.call(stoker_server.client.api.runners())] == ["mine"]
"""


def test_a_test_file_needs_no_conftest(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(FILE)
    told = _pytest(tmp_path, "--stoker-seed", "99")
    assert "3 passed" in told
    assert "1 failed" in told
    assert "repeat it with --stoker-seed 99" in told
    assert "double: SUCCEEDED" in told


def test_the_package_tells_pytest_of_the_plugin() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"stoker": "stoker.testing.plugin"}


def test_loading_the_plugin_loads_neither_server_nor_runner() -> None:
    heavy = "{'apsw', 'aiohttp', 'starlette', 'pydantic'}"
    code = f"import sys, stoker.testing.plugin; print(sorted({heavy} & set(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def _pytest(folder: Path, *options: str) -> str:
    """Run pytest there, with this plugin alone: as installed, whether or not it is."""
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-W", "error", "-m", "pytest", "-p", "stoker.testing.plugin", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *options], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr
