"""A look at an installation's tables, beside the engine."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw
import asyncpg


class Look:
    """Through a connection of its own, which is kept from one question to the next while it is `kept`."""

    def __init__(self, file: Path, database: str | None) -> None:
        self.kept = False
        self._file = file
        self._database = database
        self._connection: Any = None
        self._turns = asyncio.Lock()  # a held claim that is answered looks too

    async def ask(self, statement: str, parameters: Sequence[Any]) -> list[Any]:
        """The rows; `?` stands for a parameter on both databases."""
        async with self._turns:
            try:
                return await (self._sqlite if self._database is None else self._postgres)(statement, parameters)
            finally:
                if not self.kept:
                    await self._close()

    async def let_go(self) -> None:
        """Close it, after what was asked before."""
        self.kept = False
        async with self._turns:
            await self._close()

    async def _sqlite(self, statement: str, parameters: Sequence[Any]) -> list[Any]:
        if self._connection is None:
            self._connection = apsw.Connection(str(self._file), flags=apsw.SQLITE_OPEN_READWRITE)
        return list(self._connection.execute(statement, parameters))

    async def _postgres(self, statement: str, parameters: Sequence[Any]) -> list[Any]:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(self._database)
        return [tuple(row) for row in await self._connection.fetch(numbered(statement), *parameters)]

    async def _close(self) -> None:
        connection, self._connection = self._connection, None
        if isinstance(connection, asyncpg.Connection):
            connection.terminate()  # whatever became of its other end: it has nothing more to say
        elif connection is not None:
            connection.close()


def numbered(statement: str) -> str:
    """A statement with PostgreSQL's sort of placeholders."""
    numbers = itertools.count(1)
    return re.sub(r"\?", lambda _: f"${next(numbers)}", statement)
