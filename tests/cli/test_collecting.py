"""`stoker server gc` and `stoker server usage`."""

from __future__ import annotations

import pytest

from cli.conftest import Stoker


@pytest.mark.usefixtures("server")
def test_what_nothing_names_is_collected_and_the_room_is_shown(stoker: Stoker) -> None:
    assert stoker("server", "gc", "--dry-run").out.startswith("would be deleted: 0 artifacts, 0 bytes; 0 stored files")
    assert stoker("server", "gc", "-o", "json").json["running"] is False
    shown = stoker("server", "usage").out
    assert "default" in shown
    assert "are free on the disk of the artifacts" in shown
    assert stoker("server", "usage", "-o", "json").json["namespaces"][0]["name"] == "default"
