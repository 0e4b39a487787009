"""Each promise names the tests that attack it, each guard the test that fails without it; all of them exist."""

from __future__ import annotations

import re

import pytest

from docs.pages import ROOT
from proofs.guarded import GUARDS

PAGE = (ROOT / "docs" / "guarantees.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w./]+(?:::\w+)?)`", PAGE)))


def exists(name: str) -> bool:
    path, _, test = name.partition("::")
    if not (ROOT / path).exists():
        return False
    named = rf"^(async )?def {test.partition('[')[0]}\("
    return not test or re.search(named, (ROOT / path).read_text(), re.MULTILINE) is not None


@pytest.mark.parametrize("name", NAMED)
def test_a_test_that_the_guarantees_name_exists(name: str) -> None:
    assert exists(name), f"docs/guarantees.md names {name}, which is not there"


def test_every_promise_names_a_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| promise")]
    assert len(rows) >= 9
    assert [row for row in rows if "`tests/" not in row] == []


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_the_test_of_a_guard_exists(guard: object) -> None:
    assert exists(f"tests/{guard.test}"), f"{guard} names a test that is not there"  # type: ignore[attr-defined]
