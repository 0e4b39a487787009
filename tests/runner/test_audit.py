"""Following the audit log: each row once, also one whose call began before another's and was committed after it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from stoker.core.audit_views import AuditView
from stoker.core.views import Page
from stoker.runner import audit

START = datetime(2026, 1, 2, tzinfo=UTC)


def row(id_: int, seconds: float) -> AuditView:
    return AuditView(
        id=id_,
        at=START + timedelta(seconds=seconds),
        token=0,
        name="root",
        namespace="",
        verb="v",
        subjects=[],
        count=1,
        address="",
        request="",
        outcome="done",
    )


def test_each_row_comes_once_and_none_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "EACH_S", 0.0)
    rows = [row(1, 0), row(2, 10), row(3, 20)]
    asked: list[str] = []

    def look(text: str, after: str | None) -> Page[AuditView]:
        """Newest first, two a page."""
        asked.append(text)
        since = datetime.fromisoformat(text.partition("at>=")[2] or str(START))
        found = [one for one in rows if one.at >= since]
        found.sort(key=lambda one: (one.at, one.id), reverse=True)
        begin = int(after or 0)
        return Page(items=found[begin : begin + 2], after=str(begin + 2) if len(found) > begin + 2 else None)

    told = audit.following(look, "verb=v")
    assert [one.id for one in islice(told, 2)] == [2, 3]
    rows += [row(4, 50), row(5, 15), row(6, 200)]
    assert [one.id for one in islice(told, 3)] == [5, 4, 6]
    rows += [row(7, 30), row(8, 140)]  # the first is too late by far
    assert next(told).id == 8
    assert asked[-1] == f"verb=v at>={(START + timedelta(seconds=200) - audit.BEHIND).isoformat()}"


def test_an_empty_log_is_waited_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "EACH_S", 0.0)
    pages = iter([[], [], [row(1, 0)]])
    told = audit.following(lambda text, after: Page(items=next(pages)), "")
    assert next(told).id == 1
