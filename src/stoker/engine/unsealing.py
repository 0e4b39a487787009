"""An archive of a run, verified as a whole before anything of it is believed. Runs in a thread; writes nothing."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from stoker.core import archive, tar
from stoker.core.archive import Head, Listed, Manifest, Part, Row
from stoker.core.away import by_key
from stoker.core.branch import sound
from stoker.core.compile import compile_graph
from stoker.core.compiled import Compiled
from stoker.core.graph import GraphSpec, KindSpec
from stoker.core.model import JoinState, Task
from stoker.core.names import fault
from stoker.core.spread import unpacked
from stoker.core.states import LIVE, RunState, TaskState, Verb
from stoker.core.values import MAX_DEPTH, too_deep
from stoker.engine.shown import branch_of
from stoker.engine.versions import Version
from stoker.errors import Invalid, Rejected

PIECE = 1024 * 1024
_SMALL = 64 * 1024 * 1024  # bytes of a head or manifest
_TASKS = frozenset(int(state) for state in TaskState) - {int(state) for state in LIVE}
_OF_TASKS = ("attempt", "progress", "log")
_VERBS = frozenset(map(int, Verb))
_LATEST = 253_402_300_799_000_000  # the end of the year 9999
_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+(\s*;[\x20-\x7e]*)?", re.ASCII)
_RUNS = frozenset(int(state) for state in RunState) - {int(RunState.RUNNING)}


class Place(NamedTuple):
    """Where the content of a file stands in the archive."""

    at: int
    size: int


class Contents(NamedTuple):
    """What is in an archive that is right. `names`: what its rows call themselves, by sort."""

    path: Path
    head: Head
    parts: list[tuple[str, Place]]
    bytes: dict[str, Place]
    root: Row
    runs: list[int]
    tasks: list[int]
    spreads: list[int]
    outputs: list[int]
    versions: dict[int, Row]
    artifacts: list[Row]
    sessions: list[Row]

    def rows(self, table: str) -> Iterator[list[Row]]:
        """The rows of a table, part by part."""
        with self.path.open("rb") as file:
            for found, place in self.parts:
                if found == table:
                    yield archive.rows_of(table, _at(file, place))


def unsealed(path: Path) -> Contents:
    """Read and verify all of it. Invalid says what is wrong with it."""
    try:
        return _Reading(path).contents()
    except (ValueError, KeyError, IndexError, TypeError, msgspec.MsgspecError, RecursionError) as error:
        raise damaged(str(error)) from None
    except Rejected as error:
        raise error if error.code == "bad_archive" else damaged(str(error)) from None


def damaged(what: str) -> Invalid:
    return Invalid(
        f"this is no archive of a run that can be trusted: {what}.",
        code="bad_archive",
        place="body",
        remedy="Export the run again with `stoker runs export`. Nothing was imported.",
    )


class _Reading:
    """One archive: first its files, against its manifest; then its rows, against each other."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._listed: list[Listed] = []
        self._parts: list[tuple[str, Place]] = []
        self._bytes: dict[str, Place] = {}
        self._rows: dict[str, list[Row]] = {}
        self._graphs: dict[int, Compiled] = {}
        self._run_graphs: dict[int, Compiled] = {}
        self._marks: set[int] = set()  # of every row's key, not the keys: there may be a million
        self._named: set[int] = set()  # tasks

    def contents(self) -> Contents:
        with self._path.open("rb") as file:
            head = self._files(file)
            for table in (*archive.BESIDE, "run"):
                self._rows[table] = [
                    row for found, at in self._parts if found == table for row in self._of(file, found, at)
                ]
            root = self._runs(head)
            ids: dict[str, list[int]] = {"task": [], "past_task": [], "spread": [], "output": []}
            for table, at in self._parts:
                if table not in self._rows:
                    for row in self._of(file, table, at):
                        self._check(table, row)
                        if table in ids:
                            ids[table].append(row["id"])
        tasks = [*ids["task"], *ids["past_task"]]
        if unknown := self._named - {*tasks}:
            raise damaged(f"rows name task {min(unknown)}, which is not in it")
        for sort, several in (("task", tasks), ("spread", ids["spread"]), ("output", ids["output"])):
            _unique(sort, several)
        return Contents(
            path=self._path,
            head=head,
            parts=self._parts,
            bytes=self._bytes,
            root=root,
            runs=[row["id"] for row in self._rows["run"]],
            tasks=tasks,
            spreads=ids["spread"],
            outputs=ids["output"],
            versions={row["id"]: row for row in self._rows["version"]},
            artifacts=self._rows["artifact"],
            sessions=self._rows["session"],
        )

    # --- files ---

    def _files(self, file: BinaryIO) -> Head:
        head: Head | None = None
        manifest: Manifest | None = None
        while (found := tar.entry(file.read(tar.BLOCK))) is not None:
            if manifest is not None:
                raise damaged("something comes behind its manifest")
            place = Place(file.tell(), found.size)
            if head is None:
                if found.name != archive.HEAD:
                    raise damaged(f"it begins with {found.name[:80]!r}, not with {archive.HEAD!r}")
                head = msgspec.json.decode(self._small(file, place), type=Head)
                self._seen(file, found.name, place)
            elif found.name == archive.MANIFEST:
                manifest = msgspec.json.decode(self._small(file, place), type=Manifest)
            else:
                self._file(file, found.name, place)
            file.seek(place.at + place.size + len(tar.padding(place.size)))
        if head is None or manifest is None:
            raise damaged("it ends without its manifest")
        if manifest.files != self._listed:
            raise damaged("its files are not those of its manifest")
        return head

    def _file(self, file: BinaryIO, name: str, place: Place) -> None:
        sort = archive.sort_of(name)
        if sort is None or len(self._listed) >= archive.MOST_FILES:
            raise damaged(f"{name[:80]!r} does not belong there")
        if isinstance(sort, Part):
            if place.size > archive.MOST_PART:
                raise damaged(f"{name} is larger than {archive.MOST_PART} bytes")
            self._parts.append((sort.table, place))
            self._seen(file, name, place)
        elif sort.key in self._bytes:
            raise damaged(f"{name} comes twice")
        else:
            self._bytes[sort.key] = place
            if self._seen(file, name, place) != sort.key:
                raise damaged(f"{name} has another SHA-256 than its name says")

    def _seen(self, file: BinaryIO, name: str, place: Place) -> str:
        """Hash a file's content; gives the SHA-256."""
        file.seek(place.at)
        digest, left = hashlib.sha256(), place.size
        while left:
            piece = file.read(min(left, PIECE))
            if not piece:
                raise damaged("it ends too early")
            digest.update(piece)
            left -= len(piece)
        self._listed.append(Listed(name, place.size, digest.hexdigest()))
        return digest.hexdigest()

    @staticmethod
    def _small(file: BinaryIO, place: Place) -> bytes:
        if place.size > _SMALL:
            raise damaged("its head or manifest is too large")
        return _at(file, place)

    # --- rows ---

    @staticmethod
    def _of(file: BinaryIO, table: str, place: Place) -> list[Row]:
        try:
            return archive.rows_of(table, _at(file, place))
        except (ValueError, msgspec.MsgspecError) as error:
            raise damaged(f"the rows of {table} cannot be read: {error}") from None

    def _runs(self, head: Head) -> Row:
        """The tree: one at its top, all ended, each of a version that compiles."""
        for row in self._rows["version"]:
            spec = msgspec.json.decode(row["spec"], type=GraphSpec)
            kinds = by_key(msgspec.json.decode(row["kinds"], type=list[KindSpec]))
            if hashlib.sha256(f"{row['spec']}\n{row['kinds']}".encode()).hexdigest() != row["hash"]:
                raise damaged(f"the graph {spec.name!r} is not what its hash says")
            if spec.name != row["graph"] or row["number"] < 1:
                raise damaged(f"the graph {spec.name!r} is called otherwise")
            self._graphs[row["id"]] = Version(0, 0, 1, compile_graph(spec, kinds)).graph
        roots = [row for row in self._rows["run"] if row["root"] is None]
        if [row["id"] for row in roots] != [head.run]:
            raise damaged("it has not exactly one run at the top of its tree")
        for row in self._rows["run"]:
            if row["state"] not in _RUNS or row["ended_at"] is None or row["root"] not in (None, head.run):
                raise damaged(f"run {row['id']} has not ended, or belongs to another tree")
            _times("run", row)
            if not (1 <= row["weight"] <= 100 and 0 <= row["priority"] <= 9 and row["stopping"] == 0):
                raise damaged(f"run {row['id']} has options that no run has")
            self._run_graphs[row["id"]] = self._graphs[row["version"]]
        _unique("run", [row["id"] for row in self._rows["run"]])
        for row in self._rows["artifact"]:
            if fault(row["name"]) or _MEDIA_TYPE.fullmatch(row["media_type"]) is None:
                raise damaged(f"artifact {row['id']} is called what none may be called")
            if row["sha256"] not in self._bytes or self._bytes[row["sha256"]].size != row["size"]:
                raise damaged(f"the bytes of artifact {row['id']} are not in it")
        return roots[0]

    def _check(self, table: str, row: Row) -> None:
        """A row on its own: of a run and node that are there, settled, of values that can be read again."""
        graph = self._run_graphs[row["run"]]
        _times(table, row)
        if (key := archive.KEYS.get(table)) is not None:
            mark = hash((table, *(row[column] for column in key)))
            if mark in self._marks:
                raise damaged(f"two rows of {table} have one place")
            self._marks.add(mark)
        if table in _OF_TASKS:
            self._named.add(row["task"])
        if "node" in row:
            if not 0 <= row["node"] < len(graph.nodes):
                raise damaged(f"a row of {table} names a node that the graph has not got")
            if not sound(row.get("branch", b"")):
                raise damaged(f"a row of {table} has a branch that is none")
            branch_of(graph, row["node"], row.get("branch", b""))
        if table in ("task", "past_task", "spread") and row["state"] not in _TASKS:
            raise damaged(f"a row of {table} is not settled")
        if row.get("ended", 0) not in _VERBS or row.get("withheld", 0) not in (0, 1):
            raise damaged(f"a row of {table} ended as none does")
        _element(row.get("element"))
        if table == "past_task":
            task = msgspec.msgpack.decode(row["body"], type=Task)
            _element(task.element)
            if task.state in LIVE:
                raise damaged("a task of the past is not settled")
        elif table == "spread":
            for place, element in unpacked(row["places"]):
                _element(element)
                if not sound(row["branch"] + place):
                    raise damaged("a row of spread has a place that is none")
        elif table == "run_tag":
            if fault(row["name"]) or fault(row["value"]):
                raise damaged("a tag is called what none may be called")
        elif table == "join_row":
            if row["state"] not in (JoinState.OPEN, JoinState.FIRED, JoinState.SKIPPED):
                raise damaged("a join is decided as none is")
        elif table in ("item", "past_item"):
            self._check_item(table, row)
        elif "body" in row:
            _json(row["body"])
        elif table == "live_node":
            if row["state"] not in {0, *map(int, TaskState)} or row["settled"] not in (0, 1):
                raise damaged("a node of a live run is in no state")
            for column in ("bound", "bound_before"):
                msgspec.msgpack.decode(row[column], type=dict[int, int])

    def _check_item(self, table: str, row: Row) -> None:
        if row["blob"] is not None:
            if row["body"] is not None or row["blob"] not in self._bytes:
                raise damaged(f"the bytes of a row of {table} are not in it")
        else:
            _json(row["body"])


def _times(table: str, row: Row) -> None:
    for name, value in row.items():
        if (name == "at" or name.endswith("_at")) and value is not None and not 0 <= value <= _LATEST:
            raise damaged(f"a row of {table} has a time that is none")


def _json(body: Any) -> None:
    if too_deep(body):
        raise damaged(f"a value nests deeper than {MAX_DEPTH} levels")
    msgspec.json.decode(body, type=msgspec.Raw)
    body.decode()


def _element(element: bytes | None) -> None:
    if element is not None:
        _json(element)


def _unique(sort: str, ids: list[int]) -> None:
    if twice := [id_ for id_, count in Counter(ids).items() if count > 1]:
        raise damaged(f"{sort} {twice[0]} is there twice")


def _at(file: BinaryIO, place: Place) -> bytes:
    file.seek(place.at)
    return file.read(place.size)
