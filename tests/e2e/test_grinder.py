"""The grinder, short: random graphs while everything is killed and restarted. `make grind` does it for long."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from e2e.grinding import ground, seeds, summary

SECONDS = 10.0


@pytest.mark.timeout(240)
@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_nothing_is_wrong_after_blows_at_everything(store: str, tmp_path: Path) -> None:
    report = ground(store, tmp_path / "site", SECONDS, random.randrange(2**32))
    assert not report.wrongs, summary(report)
    assert sum(report.blows.values()) >= 3, summary(report)
    assert sum(report.runs.values()) >= 1, summary(report)
    assert report.executions >= 1, summary(report)
    assert report.servers == (1 if store == "sqlite" else 2)


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("store", "seed"), seeds())
def test_a_seed_that_once_found_something_finds_nothing_any_more(store: str, seed: int, tmp_path: Path) -> None:
    report = ground(store, tmp_path / "site", SECONDS / 2, seed)
    assert report.seed == seed
    assert not report.wrongs, summary(report)
    assert sum(report.runs.values()) >= 1, summary(report)
