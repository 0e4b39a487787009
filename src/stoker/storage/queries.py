"""Named SQL from `sql/*.sql`: `-- name: x` begins a statement, further comment lines are its prose."""

from __future__ import annotations

import re
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


def load(*names: str) -> dict[str, str]:
    """The statements of these files by name; a name said twice is a mistake."""
    found: dict[str, str] = {}
    for file in names:
        parts = _NAME.split(files("stoker.storage").joinpath("sql", f"{file}.sql").read_text())
        for name, body in zip(parts[1::2], parts[2::2], strict=True):
            if name in found:
                raise ValueError(f"the statement {name!r} is written twice; the second is in {file}.sql")
            found[name] = "\n".join(line for line in body.splitlines() if not line.startswith("--")).strip().rstrip(";")
    return found


def migrations() -> list[tuple[int, str, str]]:
    """Every migration as (number, name, SQL), in order."""
    folder = files("stoker.storage").joinpath("migrations")
    named = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(int(name[:4]), name, folder.joinpath(name).read_text()) for name in named]
