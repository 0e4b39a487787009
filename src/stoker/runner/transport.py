"""How a runner reaches a server: the port that `http.py` and in-process servers fill.

Every method raises only `stoker.errors`: Unavailable when trying again may help, Rejected when it will not.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from stoker.core.graph import KindSpec
from stoker.core.protocol import ClaimAnswer, ClaimRequest, ReportAnswer, ReportRequest
from stoker.core.views import ArtifactView


class Transport(Protocol):
    async def claim(self, namespace: str, request: ClaimRequest) -> ClaimAnswer: ...

    async def report(self, namespace: str, request: ReportRequest) -> ReportAnswer: ...

    async def input(self, url: str, session: str) -> bytes:
        """Fetch an input too large for its assignment: one JSON object."""
        ...

    async def leave(self, namespace: str, session: str) -> None:
        """Say that this session ends; the server releases what it still holds."""
        ...

    async def upload(self, namespace: str, name: str, media_type: str, content: bytes | Path) -> ArtifactView: ...

    async def download(self, namespace: str, artifact: int, folder: Path) -> Path:
        """Write an artifact into a folder, under its own name, once size and digest are right; return where it is."""
        ...

    async def put_kinds(self, namespace: str, kinds: Sequence[KindSpec]) -> None: ...

    async def close(self) -> None: ...
