"""Times as this dialect shows them: UTC, RFC 3339, milliseconds, `Z`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from stoker.core.duration import Micros

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def shown(at: Micros) -> str:
    return (_EPOCH + timedelta(microseconds=at)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
