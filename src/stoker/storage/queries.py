"""Named SQL: `-- name: x` begins a statement, further comment lines are its prose.

`sql/*.sql` holds what both databases read alike, `<database>/sql/*.sql` what each says its own way. A parameter is
`:name`; values are bound in the order in which the names first appear. `= ANY(:ids)` takes a list. `<<x>>` stands for
what follows `-- part: x`, which several statements have in common.
"""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.resources.abc import Traversable

_NAME = re.compile(r"^-- (name|part): (\w+)\s*$", re.MULTILINE)
_ANY = re.compile(r"= ANY\(:(\w+)\)")
_PART = re.compile(r"<<(\w+)>>")
_NEXT_TO_SIGNS = re.compile(r" ?([,()=<>]) ?")
_PARAMETER = re.compile(r"(?<!:):([a-z_0-9]+)")


class Statements(dict[str, str]):
    """Statements for SQLite, each made of what is written when it is first asked for."""

    def __init__(self, written: dict[str, str]) -> None:
        self._written = written

    def __missing__(self, name: str) -> str:
        listed = _ANY.sub(r"IN (SELECT value FROM json_each(:\1))", self._written[name])
        self[name] = _short(_numbered(listed, "?"))
        return self[name]


def sqlite() -> Statements:
    """The statements for SQLite, which is given a list as its JSON. Short: the driver hashes the text for each row."""
    return Statements(written("sqlite"))


def postgres() -> dict[str, str]:
    """The statements for PostgreSQL, whose parameters have numbers."""
    return {name: _numbered(sql, "$") for name, sql in written("postgres").items()}


def migrations(database: str) -> list[tuple[int, str, str]]:
    """Every migration of a database as (number, name, SQL), in order."""
    found = sorted(_files(_here().joinpath(database, "migrations")), key=lambda file: file.name)
    return [(int(file.name[:4]), file.name, file.read_text()) for file in found]


def newest(database: str) -> int:
    """The number of the newest schema that this code knows."""
    return migrations(database)[-1][0]


def written(database: str) -> dict[str, str]:
    """The statements by name, as they stand in the files; a name said twice is a mistake."""
    found: dict[str, str] = {}
    parts: dict[str, str] = {}
    for file in [*_files(_here().joinpath("sql")), *_files(_here().joinpath(database, "sql"))]:
        pieces = _NAME.split(file.read_text())
        for sort, name, body in zip(pieces[1::3], pieces[2::3], pieces[3::3], strict=True):
            if name in found or name in parts:
                raise ValueError(f"the statement {name!r} is written twice; the second is in {file.name}")
            (found if sort == "name" else parts)[name] = (
                "\n".join(line for line in body.splitlines() if not line.startswith("--")).strip().rstrip(";")
            )
    return {name: _PART.sub(lambda part: parts[part[1]], sql) for name, sql in found.items()}


def _numbered(sql: str, sign: str) -> str:
    names: dict[str, int] = {}
    return _PARAMETER.sub(lambda found: f"{sign}{names.setdefault(found[1], len(names) + 1)}", sql)


def _short(sql: str) -> str:
    """Without white space that says nothing. No literal of ours has any."""
    return _NEXT_TO_SIGNS.sub(r"\1", " ".join(sql.split()))


def _here() -> Traversable:
    return files("stoker.storage")


def _files(folder: Traversable) -> list[Traversable]:
    return [file for file in folder.iterdir() if file.name.endswith(".sql")]
