"""Servers on one database share one folder of artifacts: the folder has an id, and the database knows it."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from stoker.engine.ports import Reader, Store, Tx
from stoker.errors import Conflict, Unavailable

FACT = "artifacts"
"""The fact in the database; its value is the folder's id."""

_ID = "id"


async def check(store: Store, folder: Path) -> None:
    """Refuse a folder that is not the one of the database. The first folder that comes is."""
    known = await store.read(_known)
    if known is None:
        known = await _settle(store, made(folder))
    found = read(folder)
    if found != known:
        raise other(folder, found, known)


def other(folder: Path, found: str | None, known: str) -> Conflict:
    """What to say of a folder with another id than the database knows, or none."""
    has = "has no id" if found is None else f"has the id {found}"
    return Conflict(
        f"this is not the artifact folder of the database: the folder {has}, the database knows {known}.",
        code="other_artifacts",
        place=str(folder),
        remedy="Name the folder that was used with this database before, with --artifacts or STOKER_ARTIFACTS; "
        "unless one was named, it is `artifacts` in the data folder of the first server. To have it elsewhere, copy "
        f"that folder as a whole. If this is that folder and its file `{_ID}` was lost, write {known} into it.",
    )


def read(folder: Path) -> str | None:
    """The id of a folder; None: it has none."""
    try:
        return (folder / _ID).read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _unavailable(folder, error) from None


def made(folder: Path) -> str:
    """The id of a folder, made if it has none; the same for all who make it at once."""
    if read(folder) is None:
        make(folder, secrets.token_hex(16))
    found = read(folder)
    if found is None:
        raise Conflict(
            "the id of the artifact folder is empty.",
            code="other_artifacts",
            place=str(folder / _ID),
            remedy="Restore it from a copy, or delete it if no database uses this folder yet.",
        )
    return found


def make(folder: Path, mine: str) -> None:
    """Give the folder this id, unless it has one."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        keep(folder / _ID, mine + "\n")
    except OSError as error:
        raise _unavailable(folder, error) from None


def keep(path: Path, content: str) -> None:
    """A new small file, private, whole, and on the disk when this returns; one that exists is left as it is."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(temporary)
    finally:
        temporary.unlink()


async def _known(reader: Reader) -> str | None:
    rows = await reader.rows("fact", FACT)
    return str(rows[0][0]) if rows else None


async def _settle(store: Store, mine: str) -> str:
    """Tell the database; gives what it knows from now on, which may be what another server told it just before."""

    async def tell(tx: Tx) -> None:
        await tx.execute("put_fact", FACT, mine)

    await store.transact(tell)
    return await store.read(_known) or mine


def _unavailable(folder: Path, error: OSError | ValueError) -> Unavailable:
    why = error.strerror if isinstance(error, OSError) else "it is no text"
    return Unavailable(
        f"the id of the artifact folder cannot be read or written: {why}.",
        code="data_folder",
        place=str(folder),
        remedy="Make the folder writable for this user, or name another with --artifacts.",
    )
