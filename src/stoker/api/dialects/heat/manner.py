"""How HEAT meets its callers: a bearer token, and errors as a status that is false with a message."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from stoker.api import auth, body
from stoker.api.call import JSON, Answer, Scope, Server, as_json
from stoker.api.dialects.origins import Origins
from stoker.api.route import Route
from stoker.config import Heat
from stoker.engine.engine import Caller
from stoker.errors import Forbidden, StokerError

MEDIA_TYPE = f"{JSON}; charset=utf-8"


class Speaking:
    """The manner of this dialect."""

    def __init__(self, settings: Heat) -> None:
        self._origins = Origins(settings.origins)

    async def admit(self, server: Server, route: Route, scope: Scope, namespace: str) -> Caller:
        if route.public:
            return auth.NOBODY
        caller = await server.engine.tokens.caller(auth.bearer(scope))
        scope["caller"] = caller
        if not auth.enters(caller, namespace):
            raise Forbidden(f"the token {caller.name!r} is not for the namespace {namespace!r}")
        if not auth.allows(caller, route):
            raise Forbidden(f"the token {caller.name!r} lacks the scope {' or '.join(route.scopes)}")
        return caller

    def decode(self, content: bytes, shape: Any) -> Any:
        """The client says JSON with every request, and sends nothing with many: that is an empty object."""
        return body.decode(content or b"{}", _decoder(shape))

    def refuse(self, error: StokerError, scope: Scope) -> Answer:
        """What is too large is wrong like everything else that is wrong with a body."""
        answer = as_json({"status": False, "message": error.message}, 400 if error.status == 413 else error.status)
        if error.status != 401:
            return answer
        return msgspec.structs.replace(answer, headers=((b"www-authenticate", b"Bearer"),))

    def fail(self, incident: str) -> Answer:
        return as_json(
            {"status": False, "message": f"the server failed; its log knows more of incident {incident}"}, 500
        )

    def preflight(self, scope: Scope) -> Answer | None:
        return self._origins.preflight(scope)

    def dress(self, answer: Answer, scope: Scope) -> Answer:
        media_type = MEDIA_TYPE if answer.media_type == JSON else answer.media_type
        headers = (*answer.headers, *self._origins.headers(scope))
        return msgspec.structs.replace(answer, media_type=media_type, headers=headers)


@cache
def _decoder(shape: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(shape)
