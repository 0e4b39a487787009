"""The whole engine against a small oracle: SQLite and PostgreSQL side by side, and two servers on one database.

`STOKER_STEPS=50000` takes so many steps instead of a few thousand; with `STOKER_SHRINK=1` what fails is made small.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from contract.test_same import as_if_shared, in_one_order
from engine.plant import ManualClock
from proofs.machine import Machine
from proofs.twins import Place, Twins
from stoker.engine import leases

STEPS = int(os.environ.get("STOKER_STEPS", "1800"))
LENGTH = 60  # steps of one example
USUAL = {  # what becomes of tasks wherever so many steps are taken: from, to, by
    "READY LEASED NONE",
    "LEASED SUCCEEDED COMPLETE",
    "LEASED FAILED FAIL",
    "LEASED PRUNED PRUNE",
    "LEASED READY LOSE",
    "LEASED READY RELEASE",
    "LEASED READY REQUEUE",
}
PROFILE = settings(
    max_examples=max(1, STEPS // LENGTH),
    stateful_step_count=LENGTH,
    deadline=None,
    derandomize="STOKER_STEPS" not in os.environ,  # the same examples for everybody, others on demand
    database=None,
    phases=(Phase.generate, Phase.shrink) if os.environ.get("STOKER_SHRINK") else (Phase.generate,),
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim is held for as long as it takes: its end is by the clock on the wall, which has no part here."""
    monkeypatch.setattr(leases, "LONGEST_WAIT_S", 3_600.0)


@pytest.mark.timeout(0)
def test_both_databases_do_what_the_rules_promise_and_the_same(
    tmp_path: Path, urls: Iterator[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    as_if_shared(monkeypatch)
    in_one_order(monkeypatch)
    numbers = itertools.count()
    met: Counter[str] = Counter()

    async def twins(_: object) -> Twins:
        clock, folder = ManualClock(), tmp_path / str(next(numbers))
        places = [Place(folder / "sqlite", clock, [None]), Place(folder / "postgres", clock, [next(urls)])]
        for place in places:
            await place.start()
        return Twins(places)

    run_state_machine_as_test(lambda: Machine(twins, met, alone=True), settings=PROFILE)
    assert STEPS < 1_800 or set(met) >= USUAL, met


@pytest.mark.timeout(0)
def test_two_servers_on_one_database_do_what_the_rules_promise(tmp_path: Path, urls: Iterator[str]) -> None:
    numbers = itertools.count()

    async def pair(_: object) -> Twins:
        url = next(urls)
        place = Place(tmp_path / str(next(numbers)), ManualClock(), [url, url])
        await place.start()
        return Twins([place])

    run_state_machine_as_test(
        lambda: Machine(pair, Counter(), alone=False),
        settings=settings(PROFILE, max_examples=max(1, STEPS // LENGTH // 4)),
    )
