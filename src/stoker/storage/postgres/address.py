"""A database URL: what the driver is told, what we are, and how it is shown to people."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from stoker.errors import Invalid

_HOSTS = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^:\[\]/]*)(:\d{1,5})?(,(\[[0-9A-Fa-f:.%]+\]|[^:\[\]/]*)(:\d{1,5})?)*")


@dataclass(frozen=True, slots=True)
class Address:
    """`dsn` is the driver's. `pooled`: PgBouncer in transaction mode stands in between (`?pgbouncer=true`)."""

    dsn: str
    pooled: bool
    shown: str


def parse(url: str) -> Address:
    """The address of a `postgresql://` URL. Invalid if it is none; no message repeats what may be a password."""
    if not url.startswith(("postgresql://", "postgres://")):
        raise _bad("it does not begin with postgresql://")
    try:
        parts = urlsplit(url)
    except ValueError:  # which may say the password
        raise _bad("its host cannot be read") from None
    hosts = parts.netloc.rpartition("@")[2]
    query = parse_qsl(parts.query, keep_blank_values=True)
    if parts.fragment or "@" in parts.path or any("@" in name for name, _ in query):
        raise _bad("a special character in it is not written as %XX")
    if not _HOSTS.fullmatch(hosts):
        raise _bad("its host or port cannot be read")
    options = dict(query)
    pooled = options.pop("pgbouncer", "false").lower()
    if pooled not in ("true", "false"):
        raise _bad(f"pgbouncer={pooled} is neither true nor false")
    dsn = urlunsplit(parts._replace(scheme="postgresql", query=urlencode(options, quote_via=quote)))
    return Address(dsn, pooled == "true", f"postgresql://{_shown(hosts, options)}{parts.path}")


def _shown(hosts: str, options: dict[str, str]) -> str:
    if hosts:
        return hosts
    port = f":{options['port']}" if "port" in options else ""
    return options.get("host", "localhost") + port


def _bad(why: str) -> Invalid:
    return Invalid(
        f"this is no address of a PostgreSQL database: {why}",
        code="bad_database_url",
        place="STOKER_DATABASE_URL",
        remedy="Give one like postgresql://user:password@host:5432/name; in the user and the password, write"
        " '@' as %40, ':' as %3A, '/' as %2F, '?' as %3F, '#' as %23, '%' as %25.",
    )
