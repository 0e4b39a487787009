"""Archives of runs, to and from files."""

from __future__ import annotations

from pathlib import Path

import msgspec

from stoker.core.views import RunRef
from stoker.errors import Conflict, Unavailable
from stoker.runner.wire import Wire

CHUNK = 256 * 1024


class ArchiveApi:
    """The archives of one namespace. `path`: where that is."""

    def __init__(self, wire: Wire, path: str) -> None:
        self._wire = wire
        self._path = f"{path}/runs"

    async def export(self, run: int, target: Path) -> Path:
        """Write the archive of a run that has ended into a new file, which is there only when it is complete."""
        part = target.with_name(f".{target.name}.part")
        _check_new(target)
        try:
            with part.open("wb") as file:
                async with self._wire.open("GET", f"{self._path}/{run}/export", wait_s=None) as response:
                    async for chunk in response.content.iter_chunked(CHUNK):
                        file.write(chunk)
            part.rename(target)
        except OSError as error:
            message = f"the archive cannot be written: {error.strerror or error}."
            raise Unavailable(message, code="disk_error", place=str(target)) from None
        finally:
            part.unlink(missing_ok=True)
        return target

    async def bring(self, source: Path) -> RunRef:
        """Bring an archive in; the run there is only looked at."""
        headers = {"Content-Type": "application/x-tar"}
        try:
            with source.open("rb") as file:
                call = self._wire.open("POST", f"{self._path}/import", data=file, headers=headers, wait_s=None)
                async with call as response:
                    return msgspec.json.decode(await response.read(), type=RunRef)
        except OSError as error:
            message = f"the archive cannot be read: {error.strerror or error}."
            raise Unavailable(message, code="disk_error", place=str(source)) from None


def _check_new(target: Path) -> None:
    if target.exists():
        raise Conflict("there is a file already.", code="exists", place=str(target), remedy="Name another with --to.")
