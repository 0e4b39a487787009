"""`stoker db backup` and `stoker db restore`."""

from __future__ import annotations

from pathlib import Path

from cli.conftest import Stoker
from stoker.bootstrap.embedded import Embedded


def test_an_installation_is_backed_up_while_it_works_and_restored(
    stoker: Stoker, server: Embedded, folder: Path
) -> None:
    assert "the database and 0 stored files" in stoker("db", "backup", "kept").out
    assert "there is something already" in stoker("db", "backup", "kept").err
    restored = stoker("db", "restore", "kept", "--data", "again")
    assert "restored as it was at" in restored.out
    assert "there is a database already" in stoker("db", "restore", "kept", "--data", "again").err
    assert "this is no backup" in stoker("db", "restore", ".", "--data", "another").err
    assert stoker("db", "status", "--data", "again", "-o", "json").json["namespaces"] == 1
    assert server.data != folder / "again"
