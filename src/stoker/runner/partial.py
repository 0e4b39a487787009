"""A download that is not complete yet: beside its place, hashed as it grows, published by a rename."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from stoker.core.views import ArtifactView
from stoker.errors import Unavailable

DAMAGED = "artifact_damaged"


class Partial:
    """Leaves nothing behind but, once published, the file itself. `size`: bytes so far."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(f"{path.name}.{os.getpid()}.part")
        self.size = 0

    def __enter__(self) -> Partial:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._partial.open("wb")
        self._digest = hashlib.sha256()
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._partial.unlink(missing_ok=True)

    def write(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self._digest.update(chunk)
        self.size += len(chunk)

    def restart(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._digest = hashlib.sha256()
        self.size = 0

    def publish(self, view: ArtifactView) -> None:
        """Put the file in its place; Unavailable, and nothing kept, when it is not what the server's row says."""
        if self.size != view.size or self._digest.hexdigest() != view.sha256:
            self.restart()
            raise Unavailable(
                f"artifact {view.id} ({view.name}) came with other bytes than the server's row says", code=DAMAGED
            )
        self._file.flush()
        self._partial.replace(self._path)
