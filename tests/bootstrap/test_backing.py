"""Backups of an installation that works, and what comes back from them."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

import stoker
from stoker.bootstrap import backing
from stoker.bootstrap.backing import receive, restore
from stoker.bootstrap.embedded import Embedded
from stoker.bootstrap.place import Place
from stoker.core import tar
from stoker.errors import Conflict, StokerError, Unavailable
from stoker.selftest import checker, gather

OF_USER_CODE = {"what succeeded was run", "a result is of the accepted attempt"}  # nobody kept what that saw


@stoker.node
def written(n: int) -> stoker.File:
    path = Path(f"part-{os.getpid()}-{n}-{threading.get_ident()}.txt")
    path.write_text(str(n) * 100)
    return stoker.File(path)


@stoker.node
def large(file: stoker.File) -> str:
    return file.read_text() * (4_000 if file.size > 250 else 1)  # over 1 MiB: in a file


@stoker.node
def longest(texts: list[str]) -> int:
    return max(map(len, texts))


@stoker.graph
def working(numbers: list[int]):  # type: ignore[no-untyped-def]  # what it returns is a handle
    return longest(large.map(file=written.map(n=stoker.each(numbers))))


def place(folder: Path) -> Place:
    return Place(data=folder, artifacts=folder / "artifacts", database=None)


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[int]]:
    """A backup that was made while runs came and went; the runs that were acknowledged before it began."""
    monkeypatch.chdir(tmp_path)
    stop, runs = threading.Event(), list[int]()

    def load(server: Embedded) -> None:
        with server.client() as client:
            while not stop.is_set():
                runs.append(client.trigger(working, numbers=[1, 333]).id)

    with Embedded(tmp_path / "data") as server, server.runner([working], workers=2), server.client() as client:
        first = client.trigger(working, numbers=[1, 222])
        assert first.result(timeout=60) == 1_200_000
        thread = threading.Thread(target=load, args=(server,))
        thread.start()
        while len(runs) < 3:
            stop.wait(0.001)
        before = [first.id, *runs]
        client.call(receive(client.api.wire, tmp_path / "backup"))
        stop.set()
        thread.join()
    return tmp_path / "backup", before


def test_a_backup_under_load_is_restored_with_all_that_was_acknowledged(
    made: tuple[Path, list[int]], tmp_path: Path
) -> None:
    backup, before = made
    restore(backup, place(tmp_path / "again"))
    with Embedded(tmp_path / "again") as server, server.runner([working], workers=2), server.client() as client:
        page = client.call(client.api.runs(limit=1_000)).items
        assert {*before} <= {run.id for run in page}
        for run in page:
            assert client.run(run.id).result(timeout=60) == 1_200_000

    async def wrongs() -> list[str]:
        found = [one async for one in gather.evidence(place(tmp_path / "again"), {})]
        return [f"{wrong}" for one in found for wrong in checker.wrongs(one) if wrong.rule not in OF_USER_CODE]

    assert asyncio.run(wrongs()) == []
    copied = {path.name for path in (backup / "artifacts").rglob("?" * 64)}
    assert copied

    with pytest.raises(Conflict, match="there is a database already"):
        restore(backup, place(tmp_path / "again"))
    _damages(backup, tmp_path)


def _damages(backup: Path, tmp_path: Path) -> None:
    """Each is found before anything is brought back; then the backup is mended."""
    file = next(path for path in (backup / "artifacts").rglob("?" * 64) if path.is_file())
    database, manifest = backup / "stoker.db", backup / "backup.json"
    for path, damage, match in (
        (database, lambda body: body[:-1] + b"x", "not what its manifest says"),
        (file, lambda body: body + b"x", "not what its name says"),
        (manifest, lambda body: body[:-2], "manifest cannot be read"),
    ):
        body = path.read_bytes()
        path.unlink()  # it may be a hard link
        path.write_bytes(damage(body))
        with pytest.raises(StokerError, match=match):
            restore(backup, place(tmp_path / "never"))
        assert not (tmp_path / "never" / "stoker.db").exists()
        path.write_bytes(body)
    file.unlink()
    with pytest.raises(Unavailable, match=r"which are not there|its manifest says"):
        restore(backup, place(tmp_path / "never"))


# --- archives that are not what they should be ---


def archive(*files: tuple[str, bytes]) -> bytes:
    return b"".join(tar.header(name, len(body)) + body + tar.padding(len(body)) for name, body in files) + tar.END


async def unpacked(folder: Path, body: bytes) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 700):
            yield body[at : at + 700]

    folder.mkdir()
    await backing._Unpacking(folder, chunks()).unpack()


MANIFEST = b'{"made_at":1,"database":"","database_bytes":0,"files":0,"file_bytes":0}'


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        (archive(("../stoker.db", b"x")), "does not belong there"),
        (archive(("artifacts/aa/" + "a" * 64, b"x")), "has the SHA-256"),
        (archive(("artifacts/ab/" + "a" * 64, b"x")), "does not belong there"),
        (archive(("stoker.db", b"x"), ("stoker.db", b"x")), "does not belong there"),
        (archive(("stoker.db", b"x"), ("backup.json", MANIFEST)), "not what its manifest says"),
        (archive(("stoker.db", b"x")), "without its manifest"),
        (archive(("stoker.db", b"x" * 5_000))[:3_000], "ends too early"),
        (archive(("backup.json", b"{}")), "cannot be read"),
        (archive(("backup.json", MANIFEST), ("stoker.db", b"")), "behind its manifest"),
        (b"\x01" * 512, "header cannot be read"),
        (b"", "ends too early"),
    ],
)
async def test_what_is_no_backup_is_refused(body: bytes, wrong: str, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=wrong):
        await unpacked(tmp_path / "part", body)


def test_an_interrupted_backup_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> Callable[[], object]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", broken)
    with Embedded() as server, server.client() as client, pytest.raises(Unavailable, match="No space left"):
        client.call(receive(client.api.wire, tmp_path / "backup"))
    assert not list(tmp_path.iterdir())
