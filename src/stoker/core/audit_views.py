"""What the native API shows of the audit log: shapes shared by the server and the client."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, get_args

import msgspec

AuditOutcome = Literal["done", "unchanged", "refused"]
OUTCOMES: tuple[AuditOutcome, ...] = get_args(AuditOutcome)


class AuditView(msgspec.Struct, frozen=True, kw_only=True):
    """One row: who did what, to what, from where, and how it ended.

    `token` 0: the server's own, or anyone on a server without tokens; None: no token, or an unknown one. `verb`: the
    `operationId` of the route. `subjects`: such as `run:12`, `graph:nightly`. `count`: how many subjects; of refusals,
    how many there were that are alike, from `at` on for a few seconds. `unchanged`: it was so already. `code`: of a
    refusal.
    """

    id: int
    at: datetime
    token: int | None
    name: str
    namespace: str
    verb: str
    subjects: list[str]
    count: int
    address: str
    request: str
    outcome: AuditOutcome
    code: str = ""
    details: dict[str, Any] = {}
