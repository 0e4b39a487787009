"""What a filter asks of the audit log, as plain values for the statement that looks for it."""

from __future__ import annotations

from collections.abc import Sequence

from stoker.core.audit_views import OUTCOMES
from stoker.core.duration import Micros
from stoker.core.filter import Field, Narrowed, Sort, Term, parse

FIELDS = {
    "verb": Field(Sort.TEXT),
    "subject": Field(Sort.THING),
    "token": Field(Sort.OWNER),
    "name": Field(Sort.TEXT),
    "namespace": Field(Sort.TEXT),
    "outcome": Field(Sort.WORD, OUTCOMES),
    "code": Field(Sort.TEXT),
    "address": Field(Sort.TEXT),
    "request": Field(Sort.TEXT),
    "at": Field(Sort.TIME),
    "id": Field(Sort.NUMBER),
}
TEXTS = ("name", "namespace", "verb", "address", "request", "code")


class AuditWanted:
    """Which rows are wanted. `texts`: by column, in the order of `TEXTS`. `subjects`: any of these; None: whatever."""

    def __init__(self, terms: Sequence[Term], now: Micros) -> None:
        by = Narrowed(terms, now)
        self.at, self.id, self.token = by["at"], by["id"], by["token"]
        self.texts = [by[name] for name in TEXTS]
        self.outcomes = [word for word in OUTCOMES if by["outcome"].lets(word)]
        self.subjects = None if by["subject"].only is None else sorted(by["subject"].only)


def audit_terms(text: str) -> tuple[Term, ...]:
    """The terms of a filter of the audit log."""
    return parse(text, FIELDS)
