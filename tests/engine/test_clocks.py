"""Jumps of clocks: of the machine's, of the database's, of servers that stood still; no lease ends by them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.plant import Plant, meet, node
from stoker.bootstrap import clock as clocks
from stoker.bootstrap.clock import SystemClock
from stoker.core.duration import SECOND, Micros

HOUR, DAY = 3_600 * SECOND, 86_400 * SECOND
JUMPS = (-DAY, -HOUR, HOUR, DAY)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The two clocks of a machine, in microseconds: `wall` may be set, `passed` only goes on."""
    machine = SimpleNamespace(wall=time.time_ns() // 1_000, passed=1_000 * SECOND)
    monkeypatch.setattr(clocks.time, "time_ns", lambda: machine.wall * 1_000)
    monkeypatch.setattr(clocks, "_monotonic", lambda: machine.passed)
    return machine


@pytest.mark.parametrize("jump", JUMPS)
def test_a_jump_of_the_wall_clock_moves_no_time(machine: SimpleNamespace, jump: Micros) -> None:
    clock = SystemClock()
    before = clock.now()
    machine.wall += jump
    machine.passed += SECOND
    assert clock.now() == before + SECOND


@pytest.mark.parametrize("jump", JUMPS)
def test_a_jump_of_the_databases_clock_is_noted_and_not_followed(machine: SimpleNamespace, jump: Micros) -> None:
    clock = SystemClock()
    clock.join(HOUR, 0)
    clock.follow(HOUR + jump)
    assert (clock.now(), clock.ahead) == (HOUR, -jump)
    machine.passed += SECOND
    clock.follow(HOUR + jump + SECOND)
    assert (clock.now(), clock.ahead) == (HOUR + SECOND, -jump)


def test_drift_is_made_good_bit_by_bit(machine: SimpleNamespace) -> None:
    clock = SystemClock()
    clock.join(HOUR, 0)
    for _ in range(5):
        clock.follow(HOUR + SECOND // 5)
    assert (clock.now(), clock.ahead) == (HOUR + SECOND // 5, 0)


def test_time_never_runs_backwards(machine: SimpleNamespace) -> None:
    clock = SystemClock()
    before = clock.now()
    clock._offset -= HOUR
    assert clock.now() == before


@pytest.fixture
async def apart(database: str, tmp_path: Path) -> AsyncIterator[tuple[Plant, Plant]]:
    """Two servers with clocks of their own, which both began at the database's."""
    plants = [Plant(tmp_path / "data", database=database, seed=number) for number in range(2)]
    for plant in plants:
        plant.clock = SystemClock()  # type: ignore[assignment]  # it is steered here
        await plant.start()
    await meet(*plants)
    yield plants[0], plants[1]
    for plant in reversed(plants):
        await plant.stop()


def clock_of(plant: Plant) -> Any:
    return plant.engine.clock


def stand_still(plant: Plant, seconds: float) -> None:
    """As a virtual machine that was paused: its monotonic clock did not go on."""
    clock_of(plant)._offset -= round(seconds * SECOND)
    clock_of(plant)._last = 0


async def go_on(seconds: float, *plants: Plant) -> None:
    for plant in plants:
        clock_of(plant)._offset += round(seconds * SECOND)
    await meet(*plants)


async def test_a_server_that_stood_still_takes_over_the_time_of_the_others(apart: tuple[Plant, Plant]) -> None:
    here, there = apart
    stand_still(there, 3_600)
    await go_on(1, there)
    assert clock_of(there).ahead < clock_of(here).ahead - 3_000 * SECOND  # it takes this for a jump of the database
    for _ in range(4):
        await go_on(11, here, there)
    assert abs(clock_of(there).now() - clock_of(here).now()) < SECOND
    assert abs(clock_of(there).ahead - clock_of(here).ahead) < SECOND


async def test_a_server_that_takes_over_a_later_time_reaps_nobody_for_a_while(apart: tuple[Plant, Plant]) -> None:
    here, there = apart
    await there.push(node("a"))
    stand_still(there, 3_600)
    await go_on(1, there)
    await there.trigger()
    hand = there.hand()
    hand.closed = True  # its promises are not compared: this clock goes on by itself
    (task,) = await hand.claim()
    for _ in range(4):
        await go_on(11, here, there)
    await there.tick()
    assert (await there.task(task.task)).state == "LEASED"
    await hand.beat()
    await go_on(19, here, there)
    await there.tick()
    assert (await there.task(task.task)).state == "LEASED"


async def test_a_server_that_was_stopped_reaps_nobody_before_they_could_beat(plant: Plant) -> None:
    await plant.push(node("a"))
    await plant.trigger()
    hand = plant.hand()
    (task,) = await hand.claim()
    plant.clock.advance(30)
    plant.engine.upkeep.stood_still()
    await plant.tick()
    assert (await plant.task(task.task)).state == "LEASED"
    await hand.beat()
    await plant.pass_time(19)
    assert (await plant.task(task.task)).state == "LEASED"
    await plant.pass_time(21)
    assert (await plant.task(task.task)).state == "READY"
