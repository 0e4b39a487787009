"""The secret of a runner process, as it comes in a header or a body."""

from __future__ import annotations

import re

from stoker.api.call import Call
from stoker.errors import Invalid

SESSION_HEADER = "Stoker-Session"

_SESSION = re.compile(r"[0-9a-f]{32}")


def session_of(call: Call) -> str:
    """The session that the header names. Invalid if it is absent or malformed."""
    return checked(call.header(SESSION_HEADER.lower().encode()), f"header.{SESSION_HEADER}")


def checked(session: str, place: str) -> str:
    if _SESSION.fullmatch(session) is None:
        raise Invalid(
            "a session is 32 lowercase hex digits",
            place=place,
            remedy="Draw 128 random bits once per process and send them with every call.",
        )
    return session
