"""Random graphs in a world where everything breaks, judged by the checker of the selftest. A seed is a whole story.

`python -m testing.simulated 7` (in `tests`) plays seed 7 and prints what happened; with two numbers, all seeds between.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import sqlite3
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from stoker.bootstrap.place import Place
from stoker.selftest import checker, gather, work
from stoker.selftest.acts import Acts
from stoker.selftest.evidence import Wrong
from stoker.selftest.slots import Slots
from stoker.testing import HARSH, World, simulate

NETWORK = replace(HARSH, deaths=None, stalls=None, crashes=None)  # no death takes away what a lost report left behind
ACTS = 6  # things that a caller does in one story


class Story(NamedTuple):
    """What a seed came to. `rows`: every row of every table. `executions`: how often user code was called."""

    history: list[str]
    rows: dict[str, list[str]]
    wrongs: list[Wrong]
    executions: int

    @property
    def digest(self) -> str:
        return hashlib.sha256(repr((self.history, self.rows)).encode()).hexdigest()


def play(seed: int, folder: Path) -> Story:
    """Have a caller trigger, cancel and retry what it likes, until nothing is left to happen; then look."""
    os.environ[work.TRACE] = os.devnull  # the world itself knows when user code was at work
    dice = Random(seed)
    faults = dice.choice((HARSH, HARSH, NETWORK))
    with simulate(*work.STEPS, seed=seed, runners=dice.randint(1, 3), workers=3, faults=faults, data=folder) as world:
        for step in work.STEPS:  # slow ones are still at it when they are lost, and late when others are at it
            world.takes(step, 0, dice.choice((0, 0, 5, 60)))
        acts = Acts("caller", world.client, str(seed), lambda: _waited(world))
        for _ in range(dice.randint(1, ACTS)):
            acts.act()
            world.advance(dice.choice((0.0, 0.01, 0.5, 5.0, 30.0)))
        world.run_until_idle()
        history = world.history()
    wrongs = asyncio.run(_judged(world, folder, acts))
    return Story(history, rows(folder / "stoker.db"), wrongs, sum(map(len, world.executions.values())))


def _waited(world: World) -> bool:
    world.advance("1s")
    return True


async def _judged(world: World, folder: Path, acts: Acts) -> list[Wrong]:
    place = Place(data=folder, artifacts=folder / "artifacts", database=None)
    found: list[Wrong] = []
    runs: list[int] = []
    slots = Slots()
    executions: Any = world.executions  # spans of its own kind, with the same fields
    async for of in gather.evidence(place, executions, frozenset(acts.retried)):
        runs.append(of.run.id)
        slots.add(of)
        found += checker.wrongs(of)
    return found + checker.run_wrongs(acts.runs, runs) + slots.wrongs()


def rows(database: Path) -> dict[str, list[str]]:
    """Every row of every table."""
    connection = sqlite3.connect(database)
    try:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: sorted(map(repr, connection.execute(f"SELECT * FROM {name}"))) for name in sorted(tables)}
    finally:
        connection.close()


def main(first: int, last: int) -> None:
    logging.getLogger("stoker").setLevel(logging.CRITICAL)
    for seed in range(first, last + 1):
        with tempfile.TemporaryDirectory() as folder:
            story = play(seed, Path(folder))
        if first == last:
            print(*story.history, sep="\n")
        print(seed, story.digest, f"{len(story.history)} lines, {story.executions} executions")
        print(*(f"  WRONG: {wrong}" for wrong in story.wrongs), sep="\n", end="" if not story.wrongs else "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[-1]))
