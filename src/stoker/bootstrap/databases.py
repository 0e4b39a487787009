"""PostgreSQL, which comes with an extra of its own: what to install where it is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stoker.errors import Unavailable

if TYPE_CHECKING:
    from stoker.storage.postgres.store import Postgres


def postgres(url: str) -> Postgres:
    """The store of a database URL, not yet opened. Unavailable if the driver is not installed."""
    need_driver()
    from stoker.storage.postgres.store import Postgres

    return Postgres(url)


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
