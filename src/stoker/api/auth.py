"""Who may do what: a bearer token names a caller; scope and namespace decide. Deny by default.

Tokens are looked up by their hash in the engine; no secret is compared here.
"""

from __future__ import annotations

from ipaddress import ip_address

from stoker.api.call import Scope, Server, header
from stoker.api.route import Route
from stoker.core import names
from stoker.engine.caller import Caller
from stoker.errors import Forbidden, Invalid, Unauthorized

ANYONE = Caller(token_id=0, name="anyone", scopes=frozenset({"admin"}), namespaces=frozenset({"*"}))
"""Who calls a server that runs without tokens."""

NOBODY = Caller(token_id=0, name="nobody", scopes=frozenset(), namespaces=frozenset())
"""Who calls a public route."""


async def admit(server: Server, route: Route, scope: Scope, namespace: str | None) -> Caller:
    """The caller, if it may use this route here. Unauthorized or Forbidden otherwise."""
    if server.insecure:
        check_local(scope)
    if route.public or not server.opened.isdisjoint(route.scopes):
        return NOBODY
    caller = ANYONE if server.insecure else await server.engine.tokens.caller(bearer(scope))
    scope["caller"] = caller
    permit(caller, route, namespace)
    return caller


def bearer(scope: Scope) -> str:
    """The token of the Authorization header."""
    scheme, _, token = header(scope, b"authorization").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthorized(
            "this needs a token, and the request carries none",
            place="header.Authorization",
            remedy="Send `Authorization: Bearer <token>`; the command line reads STOKER_TOKEN.",
        )
    return token.strip()


def permit(caller: Caller, route: Route, namespace: str | None) -> None:
    """Refuse a caller that lacks the scope or the namespace."""
    if not allows(caller, route):
        needed = " or ".join(route.scopes)
        raise Forbidden(
            f"the token {caller.name!r} lacks the scope {needed}, which {route.method} {route.path} needs",
            place="header.Authorization",
            remedy=f"Use a token with the scope {needed}.",
        )
    if namespace is None:
        _permit_global(caller, route)
        return
    if fault := names.fault(namespace):
        raise Invalid(fault, place="path.namespace", remedy="Name a namespace like `default`.")
    if not enters(caller, namespace):
        raise Forbidden(
            f"the token {caller.name!r} is not for the namespace {namespace!r}",
            place="path.namespace",
            remedy="Use a token of this namespace.",
        )


def allows(caller: Caller, route: Route) -> bool:
    """Whether the caller has a scope that opens this route."""
    return "admin" in caller.scopes or not caller.scopes.isdisjoint(route.scopes)


def enters(caller: Caller, namespace: str) -> bool:
    """Whether the caller may do anything in this namespace."""
    return "*" in caller.namespaces or namespace in caller.namespaces


def lend(caller: Caller, namespace: str) -> None:
    """Refuse a caller that may not put work before the runners of another namespace than that of its call."""
    if not enters(caller, namespace):
        raise Forbidden(
            f"the token {caller.name!r} is not for the namespace {namespace!r}, of which the graph takes kinds",
            place="graph.nodes",
            remedy=f"Use a token that is for {namespace!r} too.",
        )


def need(caller: Caller, scope: str, what: str) -> None:
    """Refuse a caller that lacks the scope that one form of a call needs."""
    if caller.scopes.isdisjoint({scope, "admin"}):
        raise Forbidden(
            f"the token {caller.name!r} lacks the scope {scope}, which {what} needs in this form",
            place="header.Authorization",
            remedy=f"Use a token with the scope {scope}.",
        )


def _permit_global(caller: Caller, route: Route) -> None:
    """What only `admin` may do outside namespaces needs a token without limits: it could make one for itself.

    So does what is counted of all namespaces.
    """
    limited = "*" not in caller.namespaces or caller.kinds
    if route.scopes in (("admin",), ("metrics",)) and limited:
        raise Forbidden(
            f"the token {caller.name!r} is limited to some namespaces or kinds; {route.method} {route.path} is not",
            place="header.Authorization",
            remedy=f"Use a token with the scope {route.scopes[0]} and without limits.",
        )


def check_local(scope: Scope) -> None:
    """Without tokens, only this machine's own programs may call, and no page of another origin through a browser."""
    host = host_name(header(scope, b"host"))
    if not is_loopback(host):
        raise Forbidden(
            f"this server runs without tokens and answers only to loopback names, not to {host!r}",
            place="header.Host",
            remedy="Call it as localhost or 127.0.0.1, or start it with tokens.",
        )
    site = header(scope, b"sec-fetch-site")
    if site not in ("", "none", "same-origin"):
        raise Forbidden(
            f"this server runs without tokens and refuses requests that a {site} page makes",
            place="header.Sec-Fetch-Site",
            remedy="Start it with tokens.",
        )


def host_name(value: str) -> str:
    """The host of a Host header, without port and brackets."""
    if value.startswith("["):
        return value[1:].partition("]")[0]
    return value.rpartition(":")[0] if ":" in value else value


def is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
