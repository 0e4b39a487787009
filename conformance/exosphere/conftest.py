"""The real SDK of Exosphere against real servers. Where no Python can hold the SDK all is skipped, and says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import environment
import pytest
from place import SdkSite

import rooms


def pytest_configure(config: pytest.Config) -> None:
    rooms.settle()
    config.addinivalue_line("markers", "long: takes more than some seconds; left out of the short form")


@pytest.fixture(scope="session")
def python() -> Path:
    """The interpreter of the SDK's environment."""
    found = environment.interpreter()
    if found is None:
        pytest.skip("the SDK has no environment: run `make conformance-exosphere`; " + environment.NONE)
    return found


@pytest.fixture
def site(tmp_path: Path, python: Path) -> Iterator[SdkSite]:
    site = SdkSite(tmp_path, python)
    try:
        yield site
    finally:
        site.close()
