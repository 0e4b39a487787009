"""Where an installation is: its data folder, its artifacts, its database."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stoker.bootstrap import databases
from stoker.config import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an installation is. `database` None: the SQLite file in the data folder."""

    data: Path
    artifacts: Path
    database: str | None

    @property
    def file(self) -> Path:
        """The SQLite file, if there is one."""
        return self.data / "stoker.db"

    @property
    def shown(self) -> str:
        return str(self.file) if self.database is None else databases.shown(self.database)


def here(settings: Settings) -> Place:
    """The installation of the settings."""
    artifacts = settings.artifacts or settings.data / "artifacts"
    return Place(data=settings.data, artifacts=artifacts, database=settings.database_url)


def there(source: Place, to: str) -> Place:
    """The target that a person named: a database for the same artifacts, or a folder with everything in it."""
    if "://" in to:
        return Place(data=source.data, artifacts=source.artifacts, database=to)
    data = Path(to).expanduser().absolute()
    return Place(data=data, artifacts=data / "artifacts", database=None)
