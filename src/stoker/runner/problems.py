"""Errors on the wire: RFC 9457 problem documents to `stoker.errors`."""

from __future__ import annotations

import msgspec

from stoker.errors import BY_CODE, Invalid, Problem, Rejected, StokerError, Unavailable


class _Fault(msgspec.Struct, frozen=True):
    code: str = "invalid"
    message: str = ""
    place: str = ""
    remedy: str = ""


class _Document(msgspec.Struct, frozen=True):
    title: str = ""
    detail: str = ""
    code: str | None = None
    place: str = ""
    remedy: str = ""
    problems: list[_Fault] = []


def error_of(status: int, body: bytes, asked: str) -> StokerError:
    """Return the error that a response with this status and body stands for. `asked`: the method and URL."""
    try:
        document = msgspec.json.decode(body, type=_Document)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError):
        document = _Document(detail=_foreign(status, body, asked), remedy=_remedy(status))
    return _class_of(status)(
        document.detail or document.title or f"{asked} was answered with status {status}",
        code=document.code,
        place=document.place,
        remedy=document.remedy,
        problems=[
            Problem(code=fault.code, message=fault.message, place=fault.place, remedy=fault.remedy)
            for fault in document.problems
        ],
    )


def _class_of(status: int) -> type[StokerError]:
    if status >= 500 or status in {408, 425, 429}:
        return Unavailable
    return BY_CODE.get(status, Invalid if status in {415, 422} else Rejected)


def _foreign(status: int, body: bytes, asked: str) -> str:
    """Say what came instead of a problem document (a proxy's page, another server)."""
    text = body[:200].decode(errors="replace").strip()
    return f"{asked} was answered with status {status}" + (f" and {text!r}" if text else "")


def _remedy(status: int) -> str:
    if status in {404, 405, 501}:
        return "Check that STOKER_URL names a Stoker server, without a path."
    return ""
