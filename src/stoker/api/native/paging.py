"""Query parameters that several nouns share."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from stoker.api.query import Limit, Query, Wait

Cursor = Annotated[int, msgspec.Meta(ge=0, description="Go on after this: the `after` of the page before.")]


Since = Annotated[
    str, msgspec.Meta(description="Only what came since: `10m` ago, or a time such as 2026-11-01T08:00Z.")
]


class TaskLogsQuery(Query, frozen=True):
    """`wait_s`: how long to hold the call open for something to show, or for the end."""

    stream: Literal["log", "stdout", "stderr"] | None = None
    since: Since | None = None
    limit: Limit = 200
    after: Cursor = 0
    wait_s: Wait = 0.0


class LogsQuery(TaskLogsQuery, frozen=True):
    node: str | None = None
    task: Annotated[int, msgspec.Meta(ge=1, description="Only this task's; they end with it.")] | None = None
