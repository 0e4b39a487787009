"""PostgreSQL, which comes with an extra of its own: what to install where it is missing."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

from stoker.errors import Unavailable

if TYPE_CHECKING:
    from stoker.storage.postgres.store import Postgres

MASK = "***"


def postgres(url: str) -> Postgres:
    """The store of a database URL, not yet opened. Unavailable if the driver is not installed."""
    need_driver()
    from stoker.storage.postgres.store import Postgres

    return Postgres(url)


def whole() -> ModuleType:
    """What moves a whole PostgreSQL database. Unavailable if the driver is not installed."""
    need_driver()
    from stoker.storage.postgres import whole as found

    return found


def look() -> ModuleType:
    """What looks at a PostgreSQL database. Unavailable if the driver is not installed."""
    need_driver()
    from stoker.storage.postgres import look as found

    return found


def shown(url: str) -> str:
    """The URL for people, without a password. Invalid if it is none."""
    from stoker.storage.postgres.address import parse

    return parse(url).shown


def masked(url: str) -> str:
    """The URL with everything that may be a secret replaced, to be filled in by whoever knows it."""
    parts = urlsplit(url)
    user, at, hosts = parts.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    options = [(key, MASK if "password" in key else value) for key, value in parse_qsl(parts.query)]
    query = urlencode(options, safe=f"/,:{MASK}")
    netloc = name + (f":{MASK}" if colon else "") + at + hosts
    return f"{parts.scheme}://{netloc}{parts.path}" + (f"?{query}" if query else "")


def need_driver() -> None:
    """Unavailable, with the remedy, unless PostgreSQL can be spoken to."""
    try:
        import stoker.storage.postgres.faults  # noqa: F401  the smallest module that needs the driver
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("stoker"):
            raise
        raise Unavailable(
            f"a PostgreSQL database is configured, and to speak to it the package {error.name!r} is missing.",
            code="no_postgres_driver",
            place="STOKER_DATABASE_URL",
            remedy="pip install 'stoker[postgres]'",
        ) from None
