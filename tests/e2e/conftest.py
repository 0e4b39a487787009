from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.site import Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    try:
        yield site
    finally:
        site.close()
