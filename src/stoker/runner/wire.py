"""Requests of the native API over aiohttp: one place that adds the token, decodes answers and names what failed.

Used by the transport of runners and by the client. Redirects are refused: a token never follows one.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import aiohttp
import msgspec
from yarl import URL

from stoker.core.values import decoded
from stoker.errors import Invalid, Unavailable
from stoker.runner.problems import error_of

T = TypeVar("T")

CONNECT_S = 10.0
ANSWER_S = 15.0  # for calls that do not wait on purpose; less than a lease, so that a report that hangs is sent again
STALL_S = 60.0  # a stream without a byte for this long is broken
JSON = {"Content-Type": "application/json"}
PIECEWISE = 2**20  # bytes; a larger body is written piece by piece, between which the loop goes on


class Wire:
    """`url`: of the server, such as `http://127.0.0.1:5220`. Opens its connections lazily, inside the running loop."""

    def __init__(self, url: str, token: str | None) -> None:
        self.url = url.rstrip("/")
        if URL(self.url).scheme not in {"http", "https"}:
            raise Invalid(f"{url!r} is not the URL of a server", place="url", remedy="Give one like http://host:5220.")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._session: aiohttp.ClientSession | None = None

    async def call(
        self,
        method: str,
        path: str,
        *,
        answer: type[T] | None = None,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        wait_s: float = 0.0,
    ) -> T:
        """Send `body` as JSON, return the answer decoded. `wait_s`: how long the server may hold the call open."""
        data = None if body is None else _sent(msgspec.json.encode(body))
        sent = {**JSON, **(headers or {})} if data is not None else headers
        async with self.open(method, path, data=data, query=query, headers=sent, wait_s=wait_s) as response:
            content = await response.read()
        if answer is None:
            return None  # type: ignore[return-value]  # the caller asked for no answer
        if answer is bytes:
            return content  # type: ignore[return-value]  # T is bytes here
        return self._decode(content, answer, f"{method} {response.url}")

    @asynccontextmanager
    async def open(
        self,
        method: str,
        path: str,
        *,
        data: Any = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        wait_s: float | None = 0.0,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open a response of status 2xx to stream from. `wait_s` None: no limit in all, only between bytes."""
        url = self._url(path, query)
        timeout = aiohttp.ClientTimeout(
            total=None if wait_s is None else wait_s + ANSWER_S,
            connect=CONNECT_S,
            sock_read=None if wait_s is not None else STALL_S,
        )
        try:
            async with self._connections().request(
                method, url, data=data, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                if not 200 <= response.status < 300:
                    raise error_of(response.status, await response.read(), f"{method} {url}")
                yield response
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise self._unreachable(method, url, error) from error

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _connections(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers=self._headers,
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=True,
            )
        return self._session

    def _url(self, path: str, query: Mapping[str, Any] | None) -> URL:
        """Join to the server's URL. An absolute `path` must lead to the same server: the token goes with it."""
        base = URL(self.url)
        if path.startswith(("http://", "https://")):
            url = URL(path, encoded=True)
            if url.origin() != base.origin():
                raise Invalid(f"{url} is not on {base.origin()}", place="url", remedy="Check the server's public URL.")
        else:
            url = URL(self.url + path, encoded=True)
        given = {name: str(value) for name, value in (query or {}).items() if value is not None}
        return url.update_query(given) if given else url

    def _decode(self, content: bytes, answer: type[T], asked: str) -> T:
        try:
            found: T = decoded(content, partial(msgspec.json.decode, type=answer))
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise Unavailable(
                f"{asked} was answered with something else than Stoker's: {error}",
                remedy="Check that the URL names a Stoker server of a fitting version.",
            ) from error
        return found

    def _unreachable(self, method: str, url: URL, error: BaseException) -> Unavailable:
        why = "no answer in time" if isinstance(error, asyncio.TimeoutError) else str(error) or type(error).__name__
        return Unavailable(
            f"{method} {url.with_query(None)} did not get through: {why}.",
            place=self.url,
            remedy="Check that the server runs (`stoker server start`) and that STOKER_URL names it.",
        )


def _sent(body: bytes) -> bytes | io.BytesIO:
    return body if len(body) < PIECEWISE else io.BytesIO(body)
