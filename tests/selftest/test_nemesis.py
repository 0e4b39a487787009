"""The nemesis on processes that only note what they are told."""

from __future__ import annotations

import signal
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from stoker.selftest.nemesis import WEIGHTS, Nemesis


class Noted:
    """A process of the selftest that does nothing."""

    def __init__(self) -> None:
        self.head = 1
        self.told: list[tuple[signal.Signals, bool]] = []

    def send(self, number: signal.Signals, *, whole: bool = False) -> None:
        self.told.append((number, whole))


class Cable:
    """A network that only notes what is done to it."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def cut(self) -> None:
        self.told.append("cut")

    def hold(self) -> None:
        self.told.append("hold")

    def slow(self, seconds: float) -> None:
        self.told.append("slow")

    def heal(self) -> None:
        self.told.append("heal")


def site() -> Any:
    runners = [SimpleNamespace(process=Noted()) for _ in range(3)]
    servers = [SimpleNamespace(process=Noted(), child=lambda: None) for _ in range(2)]
    wires = [Cable() for _ in range(2)]
    return SimpleNamespace(runners=runners, servers=servers, wires=lambda: wires)


def blows(seed: int, count: int = 60, *, spared: bool = False) -> list[str]:
    nemesis = Nemesis(site(), Random(seed))
    return [nemesis.strike(60, spared=spared) for _ in range(count)]


def test_a_seed_draws_the_same_blows_again() -> None:
    assert blows(1) == blows(1)
    assert blows(1) != blows(2)
    assert set(blows(1, 400)) == set(WEIGHTS)


def test_a_blow_reaches_the_process_that_it_is_for() -> None:
    here = site()
    nemesis = Nemesis(here, Random(3))
    for _ in range(300):
        nemesis.strike(60)
    runners = {told for one in here.runners for told in one.process.told}
    servers = {told for one in here.servers for told in one.process.told}
    assert runners == {(signal.SIGKILL, False), (signal.SIGTERM, False), (signal.SIGSTOP, True)}
    assert servers == runners | {(signal.SIGKILL, True), (signal.SIGHUP, False)}


@pytest.mark.parametrize("seed", range(5))
def test_servers_that_are_spared_are_not_struck_and_one_runner_is_left_at_work(seed: int) -> None:
    here = site()
    nemesis = Nemesis(here, Random(seed), {"more": lambda: pytest.fail("what servers stand on is spared too")})
    found = [nemesis.strike(60, spared=True) for _ in range(100)]
    assert set(found) <= {"runner killed", "runner stopped", "runner ended", "network cut", "network held", ""}
    assert all(one.process.told == [] for one in here.servers)
    assert sum((signal.SIGSTOP, True) in one.process.told for one in here.runners) <= 2
    assert sum(nemesis.strikes.values()) == sum(name != "" for name in found)


def test_what_the_caller_adds_is_struck_too() -> None:
    struck: list[str] = []
    nemesis = Nemesis(site(), Random(1), {"database": lambda: struck.append("database")})
    names = [nemesis.strike(60) for _ in range(100)]
    assert names.count("database") == len(struck) > 0


def test_nothing_stays_stopped_longer_than_there_is_time() -> None:
    here = site()
    nemesis = Nemesis(here, Random(1))
    for _ in range(50):
        nemesis.strike(0)
    nemesis._continue(float("inf"))
    assert any(wire.told for wire in here.wires())
    assert all(not wire.told or wire.told[-1] in ("heal", "cut") for wire in here.wires())
    for one in (*here.runners, *here.servers):
        told = [number for number, _ in one.process.told if number in (signal.SIGSTOP, signal.SIGCONT)]
        assert told.count(signal.SIGSTOP) == told.count(signal.SIGCONT)
