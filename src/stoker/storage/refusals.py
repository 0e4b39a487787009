"""Why a whole database is not moved: the same words for both."""

from __future__ import annotations

from stoker.errors import Conflict, Unavailable


def not_empty(place: str, table: str) -> Conflict:
    return Conflict(
        f"the target is not empty: its table {table!r} has rows.",
        code="target_not_empty",
        place=place,
        remedy="Name an empty database or a new folder. Nothing was changed.",
    )


def newer(place: str, found: int, newest: int) -> Unavailable:
    return Unavailable(
        f"the database has schema {found}; this version of Stoker knows schemas up to {newest}.",
        code="schema_newer",
        place=place,
        remedy="Upgrade Stoker, or restore a backup made before the database was upgraded.",
    )


def older(place: str, found: int, newest: int) -> Conflict:
    what = f"schema {found}" if found else "no tables of Stoker"
    remedy = "Run `stoker db migrate` on it first." if found else "Name the database that is to be moved."
    return Conflict(
        f"the source has {what}; this version moves schema {newest}.", code="schema_older", place=place, remedy=remedy
    )


def differs(place: str, table: str) -> Unavailable:
    return Unavailable(
        f"the table {table!r} has other columns than its schema says.",
        code="schema_differs",
        place=place,
        remedy="Undo what was changed in it by hand, or restore a backup.",
    )


def damaged(place: str, what: str) -> Unavailable:
    return Unavailable(
        f"the database is damaged: {what}.", code="backup_damaged", place=place, remedy="Take another backup."
    )
