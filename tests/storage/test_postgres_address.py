"""Database URLs: what is understood, what is refused, and that no message shows a password."""

from __future__ import annotations

import pytest

from stoker.errors import Invalid
from stoker.storage.postgres.address import parse


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:secret@db.lan:5433/work", "postgresql://db.lan:5433/work"),
        ("postgres://me:secret@db.lan/work", "postgresql://db.lan/work"),
        ("postgresql:///work", "postgresql://localhost/work"),
        ("postgresql:///work?host=/run/pg&port=5433&user=me", "postgresql:///run/pg:5433/work"),
        ("postgresql://[::1]:5432/work", "postgresql://[::1]:5432/work"),
        ("postgresql://me@tenant:secret@db/work", "postgresql://db/work"),
        ("postgresql://me:secret@a:1,b:2/work?target_session_attrs=primary", "postgresql://a:1,b:2/work"),
        ("postgresql://db/work?user=me@tenant&password=secret", "postgresql://db/work"),
    ],
)
def test_an_address_is_shown_without_its_user_and_password(url: str, shown: str) -> None:
    assert parse(url).shown == shown


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:secret/1@db/work",
        "postgresql://me:12/secret@db/work",
        "postgresql://me:secret?1@db/work",
        "postgresql://me:12?secret@db/work",
        "postgresql://me:secret#1@db/work",
        "postgresql://me:12#secret@db/work",
        "postgresql://me:[secret@db/work",
        "postgresql://me:secret@db:port/work",
        "postgresql://me:secret@[::1/work",
        "postgresql://me:sec\u2100ret@db/work",
        "postgres:secret@db/work",
        "me:secret@db/work",
        "mysql://me:secret@db/work",
        "sqlite:///secret",
        "secret",
        "",
    ],
)
def test_what_is_no_address_is_refused_with_the_remedy_and_without_the_password(url: str) -> None:
    with pytest.raises(Invalid, match=r"^STOKER_DATABASE_URL: .*Give one like postgresql://.*%40") as caught:
        parse(url)
    for part in ("secret", "sec\u2100ret", "12"):
        assert part not in str(caught.value)
        assert part not in str(caught.value.__cause__ or "")
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_whether_a_pool_stands_in_between_is_ours_to_know_and_not_the_drivers() -> None:
    address = parse("postgresql://db/work?pgbouncer=true&sslmode=require")
    assert address.pooled
    assert address.dsn == "postgresql://db/work?sslmode=require"
    assert not parse("postgresql://db/work?pgbouncer=false").pooled
    with pytest.raises(Invalid, match="pgbouncer=yes is neither true nor false"):
        parse("postgresql://db/work?pgbouncer=yes")
