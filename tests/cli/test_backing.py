"""`stoker db backup` and `restore`, `stoker runs export` and `import`."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.conftest import Stoker
from stoker.bootstrap.embedded import Embedded


def test_an_installation_is_backed_up_while_it_works_and_restored(
    stoker: Stoker, server: Embedded, folder: Path
) -> None:
    assert "the database and 0 stored files" in stoker("db", "backup", "kept").out
    assert "there is something already" in stoker("db", "backup", "kept").err
    restored = stoker("db", "restore", "kept", "--data", "again")
    assert "restored as it was at" in restored.out
    assert "stoker server start --data " in restored.err
    assert "there is a database already" in stoker("db", "restore", "kept", "--data", "again").err
    assert "this is no backup" in stoker("db", "restore", ".", "--data", "another").err
    assert stoker("db", "status", "--data", "again", "-o", "json").json["namespaces"] == 1
    assert server.data != folder / "again"


@pytest.mark.usefixtures("pipeline")
def test_a_run_is_exported_to_a_file_and_imported_again(stoker: Stoker, server: Embedded) -> None:
    assert stoker("graphs", "push", "pipeline.py:shares").code == 0
    with server.client() as client:
        run = client.trigger("shares", x=7).id
        assert "still running" in stoker("runs", "export", str(run)).err
        client.call(client.api.cancel(run))
        assert client.call(client.api.run(run, wait_s=30)).state == "CANCELLED"
    assert stoker("runs", "export", str(run), "--to", "it.stoker").out.startswith(f"{Path.cwd() / 'it.stoker'}: run")
    assert "there is a file already" in stoker("runs", "export", str(run), "--to", "it.stoker").err
    again = stoker("runs", "import", "it.stoker", "-o", "json").json["id"]
    assert stoker("runs", "get", str(again), "-o", "json").json["imported"].startswith(f"run {run} of")
    assert "is only looked at" in stoker("runs", "retry", str(again)).err
    Path("no.stoker").write_bytes(b"nothing")
    assert "no archive of a run that can be trusted" in stoker("runs", "import", "no.stoker").err
