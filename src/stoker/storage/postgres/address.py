"""A database URL: what the driver is told, what we are, and how it is shown to people."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from stoker.errors import Invalid


@dataclass(frozen=True, slots=True)
class Address:
    """`dsn` is the driver's. `pooled`: PgBouncer in transaction mode stands in between (`?pgbouncer=true`)."""

    dsn: str
    pooled: bool
    shown: str


def parse(url: str) -> Address:
    """The address of a `postgresql://` URL. Invalid if it is none."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise _bad(str(error)) from None
    if parts.scheme not in ("postgresql", "postgres"):
        raise _bad(f"{parts.scheme or 'nothing'!r} is no scheme of it")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    pooled = options.pop("pgbouncer", "false").lower()
    if pooled not in ("true", "false"):
        raise _bad(f"pgbouncer={pooled} is neither true nor false")
    dsn = urlunsplit(parts._replace(scheme="postgresql", query=urlencode(options, quote_via=quote)))
    options.pop("password", None)
    host = options.get("host") or parts.hostname or "localhost"
    port = f":{parts.port}" if parts.port else ""
    return Address(dsn, pooled == "true", f"postgresql://{host}{port}{parts.path}")


def _bad(why: str) -> Invalid:
    return Invalid(
        f"this is no address of a PostgreSQL database: {why}",
        code="bad_database_url",
        place="STOKER_DATABASE_URL",
        remedy="Give one like postgresql://user:password@host:5432/name.",
    )
