"""`File`: a handle to an artifact. In JSON it is `{"$artifact": <id>}`; its bytes travel beside.

Where bytes come from and go to is a port: the runner sets `access` for the node it runs. Without one, a `File` of a
path simply is that local file, which is what tests want.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from os import PathLike
from pathlib import Path
from typing import IO, Any, Protocol

from stoker.errors import Conflict, Invalid

KEY = "$artifact"
SCHEMA: dict[str, Any] = {"type": "object", "properties": {KEY: {"type": "integer"}}, "required": [KEY]}


class ArtifactAccess(Protocol):
    """How node code reaches artifact bytes."""

    def fetch(self, artifact: int) -> Path:
        """A local copy of the bytes, under the artifact's name."""
        ...

    def store(self, path: Path, name: str, media_type: str) -> int:
        """Upload a local file; the id of the artifact."""
        ...


_access: ContextVar[ArtifactAccess | None] = ContextVar("stoker_artifacts", default=None)


@contextmanager
def artifacts(access: ArtifactAccess) -> Iterator[None]:
    """Let Files in this context read and store through `access`."""
    token = _access.set(access)
    try:
        yield
    finally:
        _access.reset(token)


class File:
    """An artifact: bytes with a name. `File("data.csv")` is a local one, uploaded when it is triggered or returned."""

    __slots__ = ("_id", "_name", "_path", "media_type")

    def __init__(self, path: str | PathLike[str], *, name: str | None = None, media_type: str | None = None) -> None:
        self._path: Path | None = Path(path)
        self._id: int | None = None
        self._name: str | None = name or self._path.name
        self.media_type = media_type or _guess(self._name)

    @classmethod
    def of(cls, artifact: int, *, name: str | None = None, media_type: str | None = None) -> File:
        """The file of a stored artifact."""
        file = cls(name or f"artifact-{artifact}", media_type=media_type)
        file._path, file._id, file._name = None, artifact, name
        return file

    @property
    def id(self) -> int | None:
        """The artifact's id; None while it is only a local file."""
        return self._id

    @property
    def path(self) -> Path:
        """A local path of the bytes; fetched first if need be."""
        if self._path is None:
            access = _access.get()
            if access is None or self._id is None:
                raise Conflict(
                    f"the artifact {self._id} cannot be read here: no runner gives access to it.",
                    code="no_artifacts",
                    remedy="Read it inside a node, or use stoker.File('path') in a test.",
                )
            self._path = access.fetch(self._id)
        return self._path

    @property
    def name(self) -> str:
        """What it is called; a stored artifact is fetched to know."""
        return self.path.name if self._name is None else self._name

    @property
    def size(self) -> int:
        """Bytes."""
        return self.path.stat().st_size

    def open(self, mode: str = "r", encoding: str | None = None) -> IO[Any]:
        """Open for reading, as `pathlib.Path.open` does: text in UTF-8, or `"rb"`."""
        if any(letter in mode for letter in "wax+"):
            raise Invalid(
                f"an artifact is never changed; it cannot be opened with mode {mode!r}.",
                remedy="Write a new file and return stoker.File(path).",
            )
        return self.path.open(mode, encoding=encoding if "b" in mode else encoding or "utf-8")

    def read_bytes(self) -> bytes:
        return self.path.read_bytes()

    def read_text(self, encoding: str = "utf-8") -> str:
        return self.path.read_text(encoding)

    def to_handle(self) -> dict[str, int]:
        """The JSON form; a local file is stored first."""
        if self._id is None:
            access = _access.get()
            if access is None:
                raise Conflict(
                    f"{self!r} is only a local file, and nothing here can store it.",
                    code="no_artifacts",
                    remedy="Return it from a node that a runner runs, or upload it with a client.",
                )
            if not self.path.is_file():
                raise Invalid(f"there is no file {str(self.path)!r} to store.", remedy="Write it before returning it.")
            self._id = access.store(self.path, self.name, self.media_type)
        return {KEY: self._id}

    def __repr__(self) -> str:
        return f"File({self.name!r})" if self._id is None else f"File.of({self._id})"

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(
            _parsed,
            serialization=core_schema.plain_serializer_function_ser_schema(File.to_handle, when_used="json"),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: Any, _handler: Any) -> dict[str, Any]:
        return {**SCHEMA, "properties": {KEY: {"type": "integer"}}, "required": [KEY]}


def _parsed(value: Any) -> File:
    match value:
        case File():
            return value
        case {"$artifact": int(artifact)} if not isinstance(artifact, bool):
            return File.of(artifact)
    raise ValueError('a file is {"$artifact": <id>}')


def _guess(name: str) -> str:
    import mimetypes

    return mimetypes.guess_type(name)[0] or "application/octet-stream"


# --- files in the inputs of a run ---


def files_in(value: Any) -> list[File]:
    """The local files in a value that have no artifact yet, each once."""
    found: dict[int, File] = {}
    stack = [value]
    while stack:
        match stack.pop():
            case File() as file if file.id is None:
                found[id(file)] = file
            case Mapping() as fields:
                stack.extend(reversed(list(fields.values())))
            case list() | tuple() as items:
                stack.extend(reversed(items))
            case _:
                pass
    return list(found.values())


async def uploaded(value: Any, upload: Callable[[File], Awaitable[int]]) -> Any:
    """The value with each File as its handle; local files are uploaded first, each once."""
    handles = {id(file): await upload(file) for file in files_in(value)}
    return _with_handles(value, handles)


def _with_handles(value: Any, handles: Mapping[int, int]) -> Any:
    match value:
        case File():
            return {KEY: handles.get(id(value), value.id)}
        case Mapping():
            return {key: _with_handles(item, handles) for key, item in value.items()}
        case list() | tuple():
            return [_with_handles(item, handles) for item in value]
        case _:
            return value
