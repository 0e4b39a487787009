"""Which pages may call from a browser (CORS): the same for every dialect, each with its own list."""

from __future__ import annotations

from stoker.api.call import Answer, Scope, header

METHODS = "GET, POST, PUT, PATCH, DELETE, OPTIONS"
_A_DAY = b"86400"


class Origins:
    """`exposed`: headers of answers that a page may read."""

    def __init__(self, listed: tuple[str, ...], exposed: str = "") -> None:
        self._listed = frozenset(listed)
        self._exposed = exposed.encode()

    def lists(self, scope: Scope) -> bool:
        """Whether the call comes from a page that may."""
        return header(scope, b"origin") in self._listed

    def preflight(self, scope: Scope) -> Answer | None:
        """The answer to a browser that asks beforehand; None if this is no such question, or the page may not."""
        if scope["method"] != "OPTIONS" or not header(scope, b"access-control-request-method"):
            return None
        if not self.lists(scope):
            return None
        asked = header(scope, b"access-control-request-headers").encode("latin-1")
        allowed = ((b"access-control-allow-methods", METHODS.encode()), (b"access-control-max-age", _A_DAY))
        return Answer(
            status=204,
            media_type="",
            headers=(*allowed, *([(b"access-control-allow-headers", asked)] if asked else [])),
        )

    def headers(self, scope: Scope) -> tuple[tuple[bytes, bytes], ...]:
        """What tells a browser that the page may read the answer."""
        if not self._listed:
            return ()
        vary = (b"vary", b"origin")
        if not self.lists(scope):
            return (vary,)
        allowed = (b"access-control-allow-origin", header(scope, b"origin").encode("latin-1"))
        exposed = [(b"access-control-expose-headers", self._exposed)] if self._exposed else []
        return (allowed, vary, *exposed)
