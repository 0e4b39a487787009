"""A run as one file: a tar archive of what its tables hold, the graph versions it ran, and all bytes that it names.

``run.json`` comes first (`Head`), ``manifest.json`` last, with the SHA-256 of every file between; the rows of a table
are JSON arrays in the order of these columns, bytes in base64, some hundred rows a file. See docs/reference/archive.md.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from stoker.core.duration import Micros

HEAD, MANIFEST, SUFFIX = "run.json", "manifest.json", ".stoker"
MOST_PART = 256 * 1024 * 1024  # bytes of one file of rows
MOST_FILES = 1_000_000
MOST_BYTES = 2**40  # of an archive

VERSIONS, SESSIONS, ARTIFACTS = "version", "session", "artifact"
_INT = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_TYPES: dict[str, Any] = {
    "int": _INT,
    "int?": _INT | None,
    "str": str,
    "str?": str | None,
    "bytes": bytes,
    "bytes?": bytes | None,
    "float?": float | None,
}

RUNS: dict[str, dict[str, str]] = {
    "run": {
        "id": "int",
        "version": "int",
        "state": "int",
        "stopping": "int",
        "priority": "int",
        "last_order_at": "int",
        "open": "int",
        "tasks": "int",
        "failed": "int",
        "created_at": "int",
        "ended_at": "int?",
        "cancel_at": "int?",
        "weight": "int",
        "root": "int?",
        "parent": "int?",
        "scheduled_at": "int?",
    },
    "run_input": {"run": "int", "body": "bytes"},
    "run_store": {"run": "int", "body": "bytes"},
    "run_tag": {"run": "int", "name": "str", "value": "str", "created_at": "int"},
    "task": {
        "id": "int",
        "run": "int",
        "node": "int",
        "branch": "bytes",
        "generation": "int",
        "state": "int",
        "attempt": "int",
        "failures": "int",
        "losses": "int",
        "priority": "int",
        "lane": "int",
        "order_at": "int",
        "due_at": "int?",
        "parent": "int?",
        "element": "bytes?",
        "session": "int?",
        "answer": "int",
        "deadline": "int?",
        "ended": "int",
        "withheld": "int",
        "code": "str",
        "created_at": "int",
        "claimed_at": "int?",
        "settled_at": "int?",
        "gate": "int?",
        "expires_at": "int?",
        "cancel_at": "int?",
    },
    "past_task": {
        "id": "int",
        "run": "int",
        "node": "int",
        "branch": "bytes",
        "generation": "int",
        "state": "int",
        "body": "bytes",
    },
    "item": {
        "run": "int",
        "node": "int",
        "branch": "bytes",
        "item": "int",
        "size": "int",
        "body": "bytes?",
        "blob": "str?",
    },
    "past_item": {
        "run": "int",
        "node": "int",
        "branch": "bytes",
        "generation": "int",
        "item": "int",
        "size": "int",
        "body": "bytes?",
        "blob": "str?",
    },
    "join_row": {
        "run": "int",
        "node": "int",
        "branch": "bytes",
        "open": "int",
        "members": "int",
        "arrived": "int",
        "empty": "int",
        "failed": "int",
        "state": "int",
        "generation": "int",
    },
    "node_count": {
        "run": "int",
        "node": "int",
        "created": "int",
        "succeeded": "int",
        "failed": "int",
        "pruned": "int",
        "cancelled": "int",
        "skipped": "int",
    },
    "attempt": {
        "task": "int",
        "run": "int",
        "attempt": "int",
        "outcome": "str",
        "code": "str",
        "message": "str",
        "type": "str",
        "traceback": "str",
        "session": "int?",
        "started_at": "int?",
        "ended_at": "int",
    },
    "progress": {"task": "int", "run": "int", "attempt": "int", "fraction": "float?", "message": "str"},
    "log": {
        "id": "int",
        "run": "int",
        "task": "int",
        "attempt": "int",
        "seq": "int",
        "stream": "str",
        "at": "int",
        "text": "str",
        "total": "int",
    },
    "live_node": {
        "run": "int",
        "node": "int",
        "generation": "int",
        "task": "int?",
        "state": "int",
        "status": "str",
        "settled": "int",
        "outputs": "int",
        "current_output": "int?",
        "giver": "int",
        "given_by": "int",
        "given": "int",
        "since": "int",
        "bound": "bytes",
        "bound_before": "bytes",
    },
    "output": {
        "id": "int",
        "run": "int",
        "node": "int",
        "number": "int",
        "task": "int?",
        "attempt": "int",
        "name": "str",
        "created_at": "int",
    },
    "spread": {
        "id": "int",
        "run": "int",
        "node": "int",
        "branch": "bytes",
        "parent": "int?",
        "tasks": "int",
        "state": "int",
        "created_at": "int",
        "places": "bytes",
        "expires_at": "int?",
        "generation": "int",
    },
}
"""Tables of runs, with their columns."""

KEYS: dict[str, tuple[str, ...]] = {
    "run_input": ("run",),
    "run_store": ("run",),
    "run_tag": ("run", "name"),
    "task": ("run", "node", "branch", "generation"),
    "item": ("run", "node", "branch", "item"),
    "past_item": ("run", "node", "branch", "generation", "item"),
    "join_row": ("run", "node", "branch"),
    "node_count": ("run", "node"),
    "progress": ("task",),
    "log": ("task", "attempt", "seq"),
    "live_node": ("run", "node"),
    "output": ("run", "node", "number"),
}
"""What no two rows of a table have alike, besides ids."""

BESIDE: dict[str, dict[str, str]] = {
    "version": {
        "id": "int",
        "graph": "str",
        "number": "int",
        "hash": "str",
        "spec": "str",
        "kinds": "str",
        "created_at": "int",
    },
    "session": {"id": "int", "name": "str"},
    "artifact": {"id": "int", "name": "str", "media_type": "str", "size": "int", "sha256": "str", "created_at": "int"},
}
"""What runs refer to: graph versions, the names of runners, artifacts."""

TABLES = {**BESIDE, **RUNS}

_PART = re.compile(r"tables/([a-z_]{1,20})/[0-9]{6,9}\.json", re.ASCII)
_BLOB = re.compile(r"bytes/([0-9a-f]{64})", re.ASCII)


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive is of."""

    format: Literal["stoker.run"] = "stoker.run"
    version: Literal[1] = 1
    run: int
    namespace: str
    made_at: Micros


class Listed(msgspec.Struct, frozen=True):
    name: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """Every file, in order, besides the manifest itself."""

    files: list[Listed]


class Part(NamedTuple):
    """A file of rows."""

    table: str


class Bytes(NamedTuple):
    """Stored bytes, under their SHA-256."""

    key: str


def part_name(table: str, number: int) -> str:
    return f"tables/{table}/{number:06}.json"


def bytes_name(key: str) -> str:
    return f"bytes/{key}"


def sort_of(name: str) -> Part | Bytes | None:
    """What a file of an archive is; None: it does not belong there."""
    if found := _PART.fullmatch(name):
        return Part(found[1]) if found[1] in TABLES else None
    found = _BLOB.fullmatch(name)
    return Bytes(found[1]) if found else None


class Row(dict[str, Any]):
    """A row by the names of its columns."""


_DECODERS = {
    table: msgspec.json.Decoder(list[tuple[tuple(_TYPES[kind] for kind in columns.values())]])  # type: ignore[misc]  # built from data
    for table, columns in TABLES.items()
}


def rows_of(table: str, body: bytes) -> list[Row]:
    """The rows of a part. ValueError if they are none of this table."""
    columns = list(TABLES[table])
    return [_checked(Row(zip(columns, values, strict=True))) for values in _DECODERS[table].decode(body)]


def _checked(row: Row) -> Row:
    for name, value in row.items():
        if isinstance(value, str) and "\0" in value:
            raise ValueError(f"a {name} has a NUL")
    return row
