"""The file store: what it says is stored is stored, and what failed leaves nothing behind."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stoker.artifacts.file import GATHER, PIECE, FileStore
from stoker.artifacts.port import Blob, BlobStore
from stoker.artifacts.threads import in_thread
from stoker.errors import Invalid, NotFound, Unavailable


@pytest.fixture
async def store(tmp_path: Path) -> FileStore:
    store = FileStore(tmp_path / "objects", sync=False)
    await store.open()
    return store


async def pieces(*content: bytes) -> AsyncIterator[bytes]:
    for piece in content:
        yield piece


async def everything(store: BlobStore, blob: Blob) -> bytes:
    return b"".join([piece async for piece in store.read(blob.key, 0, blob.size)])


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("size", [0, 1, GATHER - 1, GATHER, 2 * GATHER + 3])
async def test_what_is_written_can_be_read(store: FileStore, size: int) -> None:
    content = os.urandom(size)
    blob = await store.write(pieces(content[: size // 3], b"", content[size // 3 :]))
    assert blob == Blob(key=hashlib.sha256(content).hexdigest(), size=size, sha256=blob.key)
    assert await everything(store, blob) == content
    assert await store.exists(blob.key)
    assert await store.size(blob.key) == size


async def test_a_file_lies_under_the_digest_of_its_content_and_nothing_else_does(
    store: FileStore, tmp_path: Path
) -> None:
    blob = await store.write(pieces(b"abc"))
    [path] = files(tmp_path)
    assert path == tmp_path / "objects" / blob.key[:2] / blob.key
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_part_is_read_in_pieces(store: FileStore) -> None:
    content = os.urandom(3 * PIECE)
    blob = await store.write(pieces(content))
    read = [piece async for piece in store.read(blob.key, 5, 5 + 2 * PIECE)]
    assert b"".join(read) == content[5 : 5 + 2 * PIECE]
    assert max(map(len, read)) <= PIECE


async def test_the_same_content_twice_is_one_file(store: FileStore, tmp_path: Path) -> None:
    first, second = await asyncio.gather(store.write(pieces(b"same")), store.write(pieces(b"same")))
    assert first == second
    assert len(files(tmp_path)) == 1


async def test_a_deleted_file_is_gone_and_deleting_it_again_is_nothing(store: FileStore) -> None:
    blob = await store.write(pieces(b"abc"))
    await store.delete(blob.key)
    await store.delete(blob.key)
    assert not await store.exists(blob.key)
    with pytest.raises(NotFound):
        await store.size(blob.key)
    with pytest.raises(NotFound):
        await everything(store, blob)


@pytest.mark.parametrize("key", ["", "../../etc/passwd", "a" * 63, "A" * 64, "a" * 64 + "\n", "/" + "a" * 63])
async def test_a_key_is_never_a_path(store: FileStore, key: str) -> None:
    for verb in (store.exists, store.size, store.delete):
        with pytest.raises(Invalid, match="no key"):
            await verb(key)
    with pytest.raises(Invalid, match="no key"):
        await anext(store.read(key, 0, 1))


async def test_a_source_that_fails_leaves_nothing_behind(store: FileStore, tmp_path: Path) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"x" * GATHER
        assert len(files(tmp_path)) == 1
        raise ConnectionError("the client left")

    with pytest.raises(ConnectionError):
        await store.write(failing())
    assert files(tmp_path) == []


async def test_a_cancelled_write_leaves_nothing_behind(store: FileStore, tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x" * GATHER
        begun.set()
        await asyncio.Event().wait()

    writing = asyncio.ensure_future(store.write(endless()))
    await begun.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert files(tmp_path) == []


def full_disk(limit: int) -> Any:
    """`os.write` on a disk with so many bytes left: first short writes, then ENOSPC."""
    left = limit
    real = os.write

    def write(handle: int, content: Any) -> int:
        nonlocal left
        if left == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = real(handle, content[:left])
        left -= written
        return written

    return write


@pytest.mark.parametrize("limit", [0, 10, GATHER, GATHER + 7])
async def test_a_full_disk_is_unavailable_and_leaves_nothing_behind(
    store: FileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr("os.write", full_disk(limit))
    with pytest.raises(Unavailable) as caught:
        await store.write(pieces(b"x" * GATHER, b"y" * GATHER))
    monkeypatch.undo()
    assert caught.value.code == "disk_full"
    assert str(tmp_path) in caught.value.place
    assert "Free space" in caught.value.remedy
    assert files(tmp_path) == []


async def test_a_short_write_is_continued(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr("os.write", lambda handle, content: real(handle, content[:1000]))
    content = os.urandom(5_500)
    assert await everything(store, await store.write(pieces(content))) == content


@pytest.mark.parametrize("call", ["os.fsync", "os.open"])
async def test_a_failing_disk_is_unavailable_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    store = FileStore(tmp_path / "objects")
    await store.open()

    def broken(*_: Any) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(call, broken)
    with pytest.raises(Unavailable) as caught:
        await store.write(pieces(b"abc"))
    monkeypatch.undo()
    assert caught.value.code == "disk_error"
    assert files(tmp_path) == []


async def test_content_folder_and_order_are_durable_before_the_write_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileStore(tmp_path / "objects")
    await store.open()
    done: list[str] = []
    real_fsync, real_replace = os.fsync, Path.replace

    def fsync(handle: int) -> None:
        done.append("folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "file")
        real_fsync(handle)

    def replace(path: Path, target: Path) -> Path:
        done.append("rename")
        return real_replace(path, target)

    monkeypatch.setattr("os.fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    await store.write(pieces(b"abc"))
    assert done == ["file", "rename", "folder"]


async def test_only_old_leftovers_of_a_crash_are_removed_at_start(tmp_path: Path) -> None:
    incoming = tmp_path / "objects" / "incoming"
    incoming.mkdir(parents=True)
    old, young, foreign = incoming / f"{'a' * 32}.part", incoming / f"{'b' * 32}.part", incoming / "notes.txt"
    for path in (old, young, foreign):
        path.write_bytes(b"x")
    for path in (old, foreign):
        os.utime(path, (0, 0))
    store = FileStore(tmp_path / "objects", sync=False)
    await store.open()
    assert sorted(incoming.iterdir()) == sorted([young, foreign])


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "objects").write_text("a file")
    with pytest.raises(Unavailable) as caught:
        await FileStore(tmp_path / "objects").open()
    assert str(tmp_path / "objects") in str(caught.value)


async def test_a_file_that_lost_its_end_is_not_read_as_whole(store: FileStore, tmp_path: Path) -> None:
    blob = await store.write(pieces(b"abcdef"))
    os.truncate(tmp_path / "objects" / blob.key[:2] / blob.key, 3)
    with pytest.raises(Unavailable, match="ends at byte 3"):
        await everything(store, blob)


async def test_a_cancelled_caller_waits_for_its_thread() -> None:
    import threading

    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait()
        done.set()

    waiting = asyncio.ensure_future(in_thread(work))
    await asyncio.to_thread(begun.wait)
    waiting.cancel()
    await asyncio.sleep(0)
    waiting.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert done.is_set()


# --- the deletion of what is old ---


def old(path: Path) -> None:
    os.utime(path, (1, 1))


async def test_old_files_are_found_and_swept_young_ones_stay(store: FileStore, tmp_path: Path) -> None:
    one, two = await store.write(pieces(b"one")), await store.write(pieces(b"two"))
    old(tmp_path / "objects" / one.key[:2] / one.key)
    assert [found async for part in store.old(3_600) for found in part] == [(one.key, 3)]
    assert await store.sweep([one.key, two.key], 3_600) == [one.key]
    assert await everything(store, two) == b"two"
    assert not await store.exists(one.key)
    assert len(files(tmp_path / "objects")) == 1


async def test_a_file_that_is_being_looked_at_is_read_and_the_next_start_puts_it_back(
    store: FileStore, tmp_path: Path
) -> None:
    one = await store.write(pieces(b"one"))
    trash = tmp_path / "objects" / "trash"
    trash.mkdir()
    (tmp_path / "objects" / one.key[:2] / one.key).rename(trash / f"{one.key}.{'0' * 16}")
    assert (await everything(store, one), await store.size(one.key)) == (b"one", 3)
    await store.open()
    assert await store.exists(one.key)
    assert not list(trash.iterdir())
