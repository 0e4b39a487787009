"""The tables as the newest schema has them: names, columns and keys, asked of a SQLite database made for it in memory.

Both databases have the same tables; what says its own way how they are stored does not matter here.
"""

from __future__ import annotations

from dataclasses import dataclass

import apsw

from stoker.storage import queries


@dataclass(frozen=True, slots=True)
class Table:
    """`key`: the primary key, by which rows have an order that both databases agree on."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]

    @property
    def select(self) -> str:
        """All rows in the order of the key; text is ordered by its bytes, in both databases by declaration."""
        return f"SELECT {listed(self.columns)} FROM {quoted(self.name)} ORDER BY {listed(self.key)}"  # noqa: S608


def newest() -> list[Table]:
    """Every table of the newest schema, by name."""
    connection = apsw.Connection(":memory:")
    try:
        for _, _, sql in queries.migrations("sqlite"):
            connection.execute(sql)
        return of(connection)
    finally:
        connection.close()


def of(connection: apsw.Connection) -> list[Table]:
    """Every table of a SQLite database, by name."""
    names = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name"
    )
    return [_table(connection, str(name)) for (name,) in list(names)]


def _table(connection: apsw.Connection, name: str) -> Table:
    found = list(connection.execute("SELECT name, pk FROM pragma_table_info(?) ORDER BY cid", (name,)))
    key = [(place, column) for column, place in found if place]
    return Table(name, tuple(str(column) for column, _ in found), tuple(str(column) for _, column in sorted(key)))


def listed(names: tuple[str, ...]) -> str:
    return ", ".join(map(quoted, names))


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
