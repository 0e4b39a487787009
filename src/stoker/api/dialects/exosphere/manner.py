"""How Exosphere meets its callers: a key in a header, JSON in every answer, and a request id on it."""

from __future__ import annotations

import re
from functools import cache
from secrets import token_bytes
from typing import Any
from uuid import UUID

import msgspec

from stoker.api import auth
from stoker.api.body import deeper_than_allowed
from stoker.api.call import Answer, Scope, Server, as_json, header
from stoker.api.dialects.exosphere.refusals import Unprocessable, entry
from stoker.api.dialects.origins import Origins
from stoker.api.route import Route
from stoker.core import names
from stoker.engine.caller import Caller
from stoker.errors import Forbidden, Invalid, NotFound, StokerError, Unauthorized

REQUEST_ID = "x-exosphere-request-id"
TEXTS = {
    413: "Request body too large",
    405: "Method Not Allowed",
    503: "service unavailable",
}
_ID = re.compile(rb"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_BYTE = re.compile(r"\(byte (\d+)\)$")
_PLACED = re.compile(r"^(?P<message>.*?)(?: - at `\$(?P<path>[^`]*)`)?$", re.DOTALL)
_MISSING = re.compile(r"missing required field `(\w+)`")
_WANTED = {
    "str": ("string_type", "Input should be a valid string"),
    "array": ("list_type", "Input should be a valid list"),
    "int": ("int_type", "Input should be a valid integer"),
    "object": ("dict_type", "Input should be a valid dictionary"),
}


class Speaking:
    """The manner of this dialect. `origins`: the pages that may call from a browser."""

    def __init__(self, origins: tuple[str, ...]) -> None:
        self._origins = Origins(origins, exposed=REQUEST_ID)

    async def admit(self, server: Server, route: Route, scope: Scope, namespace: str) -> Caller:
        """By `x-api-key`, which is a token; there is no way in without one."""
        if route.public:
            return auth.NOBODY
        try:
            caller = await server.engine.tokens.caller(header(scope, b"x-api-key").strip())
        except Unauthorized as error:
            raise Unauthorized("Invalid API key", code=error.code, place=error.place) from None
        scope["caller"] = caller
        if namespace and names.fault(namespace):
            raise NotFound("Not Found")
        if namespace and not auth.enters(caller, namespace):
            raise Forbidden(f"API key has no access to namespace {namespace}")
        if not auth.allows(caller, route):
            raise Forbidden(f"API key lacks scope {' or '.join(route.scopes)}")
        return caller

    def decode(self, content: bytes, shape: Any) -> Any:
        try:
            content.decode()
            value = _decoder(shape).decode(content)
        except msgspec.ValidationError as error:
            raise _unprocessable(str(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise not_json(error) from None
        except RecursionError:
            raise Invalid("JSON nested deeper than 64") from None
        if deeper_than_allowed(content):
            raise Invalid("JSON nested deeper than 64")
        return value

    def refuse(self, error: StokerError, scope: Scope) -> Answer:
        if isinstance(error, Unprocessable):
            return as_json({"detail": error.entries}, 422)
        detail = "Not Found" if error.code == "no_such_route" else TEXTS.get(error.status, _said(error))
        return as_json({"detail": detail}, error.status)

    def fail(self, incident: str) -> Answer:
        return as_json({"success": False, "detail": "internal server error"}, 500)

    def preflight(self, scope: Scope) -> Answer | None:
        return self._origins.preflight(scope)

    def dress(self, answer: Answer, scope: Scope) -> Answer:
        told = (REQUEST_ID.encode(), request_id(scope))
        return msgspec.structs.replace(answer, headers=(*answer.headers, told, *self._origins.headers(scope)))


def request_id(scope: Scope) -> bytes:
    """The caller's own, if it is a UUID, else a new one."""
    given = header(scope, REQUEST_ID.encode()).encode("latin-1")
    return given if _ID.fullmatch(given) else str(UUID(bytes=token_bytes(16), version=4)).encode()


def _said(error: StokerError) -> str:
    """The words of this dialect; what only the engine could say (of a missing key, say) comes with its remedy."""
    said = " ".join(each for each in (error.message, error.remedy) if each)
    return "\n".join([said, *map(str, error.problems)])


def not_json(error: Exception) -> Unprocessable:
    found = _BYTE.search(str(error))
    place = error.start if isinstance(error, UnicodeDecodeError) else int(found[1]) if found else 0
    return Unprocessable([entry("json_invalid", ("body", place), "JSON decode error", {}, error=str(error))])


def _unprocessable(text: str) -> Unprocessable:
    """What a decoder says, in the words of this dialect."""
    placed = _PLACED.match(text)
    message, path = (placed["message"], placed["path"] or "") if placed else (text, "")
    loc = ["body", *(int(step) if step.isdigit() else step for step in re.findall(r"[\w-]+", path.replace("...", "")))]
    if missing := _MISSING.search(message):
        return Unprocessable([entry("missing", [*loc, missing[1]], "Field required")])
    wanted = re.match(r"Expected `(\w+)", message)
    sort, said = _WANTED.get(wanted[1] if wanted else "", ("value_error", f"Value error, {message}"))
    return Unprocessable([entry(sort, loc, said)])


@cache
def _decoder(shape: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(shape)
