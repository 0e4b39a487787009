"""`stoker db backup` and `stoker db restore`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from stoker.cli import exits, terminal
from stoker.cli.options import HERE, STORE, Store, Where
from stoker.cli.reach import reached
from stoker.cli.sizes import sized
from stoker.config import load
from stoker.core.words import counted


def backup(target: Path, /, *, where: Where = HERE) -> int:
    """Write a backup of a whole installation into a new folder, while its server works. SQLite only.

    It has what was acknowledged before it began; the key of secrets is not in it. Artifacts are not deleted meanwhile.

    Parameters
    ----------
    target: Path
        A folder that is not there yet.
    """
    from stoker.bootstrap.backing import receive

    target = target.expanduser().absolute()
    with reached(where) as here:
        made = here.client.call(receive(here.client.api.wire, target))
    if where.output == "json":
        terminal.document(made)
    else:
        size = sized(made.database_bytes + made.file_bytes)
        terminal.say(f"{target}: the database and {counted(made.files, 'stored file')}, {size}")
    return exits.OK


def restore(source: Path, /, *, options: Store = STORE) -> int:
    """Bring a backup into a data folder that has no database. All of it is verified first.

    Parameters
    ----------
    source: Path
        A folder that `stoker db backup` has written.
    """
    from stoker.bootstrap.backing import restore as restored
    from stoker.bootstrap.place import here

    place = here(load({"data": options.data, "database_url": options.database_url, "artifacts": options.artifacts}))
    found = restored(source.expanduser().absolute(), place)
    if options.output == "json":
        terminal.document(found.manifest)
    else:
        at = datetime.fromtimestamp(found.manifest.made_at / 1_000_000, UTC)
        terminal.say(f"{place.shown}: restored as it was at {at:%Y-%m-%d %H:%M:%S} UTC, with schema {found.schema}")
        terminal.note(f"next: `stoker server start --data {place.data}`; what runners still held is done again")
        terminal.note("the key of secrets is in no backup: give that server the one it had, if it kept secrets")
    return exits.OK
