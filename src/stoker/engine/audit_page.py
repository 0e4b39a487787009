"""The audit log as it is read: by filter, a page at a time."""

from __future__ import annotations

from typing import Any

import msgspec

from stoker.core.audit_filter import AuditWanted, audit_terms
from stoker.core.audit_views import AuditView
from stoker.core.duration import Micros
from stoker.core.filter import Allowed
from stoker.core.views import Page
from stoker.engine.acting import GAP
from stoker.engine.catalog import when
from stoker.engine.lists import FRONT, Place, place
from stoker.engine.paging import limited
from stoker.engine.ports import Row, Store


async def audit_page(store: Store, now: Micros, text: str, limit: int, after: str | None) -> Page[AuditView]:
    """Rows that all terms of the filter hold for, newest first."""
    limit, before = limited(limit), place(after)
    values = _values(AuditWanted(audit_terms(text), now), before, limit + 1)
    found = await store.read(lambda reader: reader.rows("audit_page", *values))
    shown, more = found[:limit], len(found) > limit
    return Page(items=[_view(row) for row in shown], after=Place(shown[-1][1], shown[-1][0]).cursor if more else None)


def _values(wanted: AuditWanted, before: Place, limit: int) -> list[Any]:
    """What `audit_page` binds, in its order."""
    before = min(before, Place(min(wanted.at.high, FRONT.at - 1) + 1, 0))
    return [
        *(*before, wanted.at.low, list(wanted.outcomes)),
        *(*_texts(wanted.id), wanted.id.low, wanted.id.high),
        *_texts(wanted.token),
        *(value for field in wanted.texts for value in _texts(field)),
        *(int(wanted.subjects is None), wanted.subjects or []),
        limit,
    ]


def _texts(allowed: Allowed) -> tuple[int, Any, Any]:
    return int(allowed.only is None), sorted(allowed.only or ()), sorted(allowed.never)


def _view(row: Row) -> AuditView:
    id_, at, token, name, namespace, verb, subjects, count, address, request, outcome, code, details = row
    return AuditView(
        id=id_,
        at=when(at),
        token=token,
        name=name,
        namespace=namespace,
        verb=verb,
        subjects=subjects.strip(GAP).split(GAP) if subjects else [],
        count=count,
        address=address,
        request=request,
        outcome=outcome,
        code=code,
        details=msgspec.json.decode(details, type=dict[str, Any]),
    )
