"""What a server says of who did what, row by row as it comes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta

from stoker.core.audit_views import AuditView
from stoker.core.views import Page

BEHIND = timedelta(seconds=60)  # a row has the time when its call began, and is there when that was committed
EACH_S = 1.0


def following(look: Callable[[str, str | None], Page[AuditView]], text: str) -> Iterator[AuditView]:
    """The rows of the newest page, oldest first, then what comes to be. `look`: a page by filter and cursor."""
    newest = look(text, None).items
    shown = {row.id for row in newest}
    yield from reversed(newest)
    first, since = (newest[-1].at, newest[0].at) if newest else (None, None)
    while True:
        time.sleep(EACH_S)
        bound = f" at>={max(first, since - BEHIND).isoformat()}" if first and since else ""
        new = [row for row in _all(look, text + bound) if row.id not in shown]
        yield from sorted(new, key=lambda row: (row.at, row.id))
        shown.update(row.id for row in new)
        first = first or min((row.at for row in new), default=None)
        since = max((row.at for row in new), default=since)


def _all(look: Callable[[str, str | None], Page[AuditView]], text: str) -> Iterator[AuditView]:
    after: str | None = None
    while True:
        page = look(text, after)
        yield from page.items
        if (after := page.after) is None:
            return
