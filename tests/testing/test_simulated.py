"""Random graphs in worlds where everything breaks; `make simulate SEEDS=1000` plays many seeds more."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from testing.simulated import Story, play

FIRST = 117
SEEDS = int(os.environ.get("STOKER_SIMULATED", "12"))
FEW = 12
TESTS = Path(__file__).parents[1]
BREAKS = ("runner-0: killed", "stalled for", "the server: killed", " lost on ", " failed on ", "SKIPPED")


def told(seed: int, story: Story) -> str:
    """What is wrong, and how to see it again."""
    wrongs = "\n".join(map(str, story.wrongs))
    return f"{wrongs}\nrepeat it, in the folder tests: python -m testing.simulated {seed}"


@pytest.mark.timeout(0)
@pytest.mark.parametrize("start", range(FIRST, FIRST + SEEDS, FEW))
def test_nothing_is_wrong_whatever_breaks_and_something_does(tmp_path: Path, start: int) -> None:
    """Stories prove nothing about what they never meet."""
    unmet = set(BREAKS)
    for seed in range(start, start + FEW):
        story = play(seed, tmp_path / str(seed))
        assert not story.wrongs, told(seed, story)
        unmet = {what for what in unmet if not any(what in line for line in story.history)}
    assert start > FIRST or not unmet


def test_the_same_seed_gives_the_same_rows_and_another_one_does_not(tmp_path: Path) -> None:
    first, again, other = (play(seed, tmp_path / str(at)) for at, seed in enumerate((129, 129, 120)))
    assert first.history == again.history
    for table, found in first.rows.items():
        assert again.rows[table] == found, table
    assert other.digest != first.digest


def test_the_same_seed_gives_the_same_rows_in_another_process(tmp_path: Path) -> None:
    """Where hashes are others, and so is the order of sets."""
    environment = {**os.environ, "PYTHONHASHSEED": "4711"}
    command = [sys.executable, "-m", "testing.simulated", "120"]
    done = subprocess.run(command, cwd=TESTS, env=environment, capture_output=True, text=True, check=True)
    assert play(120, tmp_path).digest in done.stdout
