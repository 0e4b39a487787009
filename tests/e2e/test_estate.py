"""Two servers, three runners, one PostgreSQL: any of them killed at any time, nothing lost, nothing accepted twice."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e import work
from e2e.estate import Estate
from e2e.site import patiently
from e2e.test_kills import assert_settled_once

RUNS = 8
WIDTH = 25
BLOWS = 8


@pytest.fixture
def estate(tmp_path: Path) -> Iterator[Estate]:
    estate = Estate(tmp_path)
    try:
        yield estate
    finally:
        estate.close()


def test_a_runner_of_one_server_works_for_a_caller_of_the_other(estate: Estate) -> None:
    here, there = estate.sites
    there.runner("far")
    run = here.client.trigger(work.halves, n=10, pause=0.0)
    assert run.result(30) == sum(range(10)) / 2
    assert_settled_once(here, run.id, 10)
    estate.connected(1)


@pytest.mark.timeout(240)
def test_runs_survive_a_nemesis_that_kills_servers_runners_and_the_database(estate: Estate) -> None:
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    here, there = estate.sites
    runners = {name: (site, site.runner(name)) for name, site in (("one", here), ("two", there), ("three", there))}
    handles = [
        patiently(
            lambda key=f"run-{number}", site=estate.sites[number % 2]: site.client.trigger(
                work.halves, idempotency_key=key, n=WIDTH, pause=0.02
            )
        )
        for number in range(RUNS)
    ]
    hit = []
    for _ in range(BLOWS):
        time.sleep(dice.uniform(0.3, 0.9))
        hit.append(estate.strike(dice, runners))
    again = patiently(lambda: there.client.trigger(work.halves, idempotency_key="run-0", n=WIDTH, pause=0.02))
    assert again.id == handles[0].id, f"seed {seed}: {hit}"
    for number, handle in enumerate(handles):
        run = estate.sites[1 - number % 2].client.run(handle.id)  # asked of the server that did not start it
        found = patiently(lambda run=run: run.result(90))  # type: ignore[misc]
        assert found == sum(range(WIDTH)) / 2, f"seed {seed}: {hit}"
        assert_settled_once(here, handle.id, WIDTH)
