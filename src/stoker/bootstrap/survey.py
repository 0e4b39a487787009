"""Looks at the database of an installation, and brings it to the newest schema."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stoker.bootstrap import belonging, databases
from stoker.bootstrap.lock import locked
from stoker.bootstrap.place import Place
from stoker.config import read_server_file
from stoker.storage.sqlite import look as sqlite
from stoker.storage.survey import Survey

if TYPE_CHECKING:
    from stoker.storage.postgres.look import Health


async def survey(place: Place) -> tuple[Survey, list[str]]:
    """What is there, and the servers that work on it. Changes nothing; works beside a server."""
    if place.database is not None:
        found: tuple[Survey, list[str]] = await databases.look().survey(place.database)
        return found
    alive = read_server_file(place.data)
    return await sqlite.survey(place.file), [alive.url] if alive else []


async def health(url: str, artifacts: Path) -> Health:
    """What a server would find at a PostgreSQL database. Conflict if the artifact folder is not the database's."""
    found: Health = await databases.look().health(url)
    if found.artifacts is not None and (mine := belonging.read(artifacts)) != found.artifacts:
        raise belonging.other(artifacts, mine, found.artifacts)
    return found


async def migrate(place: Place) -> tuple[int, int]:
    """Bring the schema up to date; gives its number before and after. Conflict if another process has the folder."""
    if place.database is not None:
        found: tuple[int, int] = await databases.look().brought_up(place.database)
        return found
    if sqlite.up_to_date(place.file):
        now = (await sqlite.survey(place.file)).schema
        return now, now
    with locked(place.data):
        return sqlite.brought_up(place.file)
