"""Connection strings: which the clients can read at all, and what stands in place of one that is not to be seen.

The clients parse every connection string they are shown, and fail on one that they cannot: what is withheld must
still look like one.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from stoker.api.dialects.heat.enums import DataSourceType
from stoker.api.dialects.heat.roles import REDACTED

_S3 = "http://REDACTED:REDACTED@redacted.invalid/"
_AZURE = "https://redacted.invalid/redacted"
_S3_FIELDS = ("bucketName", "region", "accessKeyId", "secretAccessKey")


def redacted(type_: int) -> str:
    """What is shown instead of a connection string of this type."""
    match type_:
        case DataSourceType.S3:
            return _S3
        case DataSourceType.AzureBlob:
            return _AZURE
        case _:
            return REDACTED


def is_redacted(text: str) -> bool:
    """Whether somebody sends back what they were shown in place of the string."""
    return text.strip().rstrip("/") in {_S3.rstrip("/"), _AZURE, REDACTED}


def fault(type_: int, text: str) -> str | None:
    """Why the clients could not read a connection string; None if they can, or never look at it."""
    match type_:
        case DataSourceType.S3 if text.startswith("{"):
            return _json_fault(text)
        case DataSourceType.S3:
            return _url_fault(text)
        case DataSourceType.AzureBlob:
            return _url_fault(text) or (None if urlsplit(text).path.strip("/") else "it names no container")
        case _:
            return None


def _json_fault(text: str) -> str | None:
    try:
        content = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return "it begins like JSON and is none"
    if not isinstance(content, dict):
        return "it is no JSON object"
    missing = [name for name in _S3_FIELDS if not (isinstance(content.get(name), str) and content[name])]
    return f"it lacks {', '.join(missing)}" if missing else None


def _url_fault(text: str) -> str | None:
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError as error:
        return f"it is no URL: {error}"
    if url.scheme.lower() not in ("http", "https") or not url.hostname:
        return "it is neither an http nor an https URL"
    return None
