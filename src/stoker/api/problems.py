"""Errors as RFC 9457 problem documents. Every refusal of every path goes through here."""

from __future__ import annotations

import logging
import re
import secrets

import msgspec

from stoker.api.call import Answer
from stoker.errors import Invalid, StokerError, Unauthorized, Unavailable

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = b"1"

_log = logging.getLogger("stoker.api")
_PLACED = re.compile(r"^(?P<message>.*?) - at `\$(?P<path>[^`]*)`$", re.DOTALL)
_BYTE = re.compile(r" \(byte (?P<byte>\d+)\)$")


class ProblemItem(msgspec.Struct, frozen=True, kw_only=True):
    """One of several things that are wrong."""

    code: str
    message: str
    place: str = ""
    remedy: str = ""


class ProblemDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request was refused (RFC 9457). `code` is stable; `instance` names the log entry of an internal error."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    place: str = ""
    remedy: str = ""
    problems: list[ProblemItem] = []
    instance: str | msgspec.UnsetType = msgspec.UNSET


class MethodNotAllowed(StokerError):
    """The path exists; it does not take this method."""

    code = "method_not_allowed"
    status = 405


class NotSatisfiable(StokerError):
    """The range lies outside the content."""

    code = "range_not_satisfiable"
    status = 416


def answer(error: StokerError, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Answer:
    """The problem that an error is shown as."""
    return _answer(document(error), headers + _headers(error))


def document(error: StokerError) -> ProblemDocument:
    return ProblemDocument(
        type=f"urn:stoker:problem:{error.code}",
        title=error.code.replace("_", " ").capitalize(),
        status=_status(error),
        detail=error.message,
        code=error.code,
        place=error.place,
        remedy=error.remedy,
        problems=[
            ProblemItem(code=each.code, message=each.message, place=each.place, remedy=each.remedy)
            for each in error.problems
        ],
    )


def incident(error: Exception, place: str) -> str:
    """Log an error nobody foresaw; gives where to find it."""
    number = secrets.token_hex(8)
    _log.error("incident %s at %s", number, place, exc_info=error)
    return number


def internal(error: Exception, place: str) -> Answer:
    """Log an error nobody foresaw, and show only where to find it."""
    number = incident(error, place)
    shown = document(
        StokerError(
            f"the server failed on {place}; this is a fault of the server, not of the request",
            code="internal",
            remedy=f"Ask again; if it stays, look for incident {number} in the server's log.",
        )
    )
    return _answer(msgspec.structs.replace(shown, instance=f"urn:stoker:incident:{number}"), ())


def undecodable(error: Exception, source: str) -> Invalid:
    """What a decoder says, with the place it gives, as our error. `source` is `body` or `query`."""
    text = str(error)
    if placed := _PLACED.match(text):
        return Invalid(_sentence(placed["message"]), place=source + placed["path"])
    if at := _BYTE.search(text):
        return Invalid(_sentence(text[: at.start()]), code="bad_json", place=f"{source}, byte {at['byte']}")
    if isinstance(error, msgspec.ValidationError):
        return Invalid(_sentence(text), place=source)
    return Invalid(f"the {source} is not JSON: {_sentence(text)}", code="bad_json", place=source)


def _sentence(text: str) -> str:
    return text[:1].lower() + text[1:] if not text.startswith("JSON") else text


def _status(error: StokerError) -> int:
    return error.status


def _headers(error: StokerError) -> tuple[tuple[bytes, bytes], ...]:
    match error:
        case Unauthorized():
            return ((b"www-authenticate", b'Bearer realm="stoker"'),)
        case Unavailable():
            return ((b"retry-after", RETRY_AFTER_S),)
        case _:
            return ()


def _answer(shown: ProblemDocument, headers: tuple[tuple[bytes, bytes], ...]) -> Answer:
    body = msgspec.json.encode(shown)
    return Answer(status=shown.status, body=body, media_type=MEDIA_TYPE, headers=headers)
