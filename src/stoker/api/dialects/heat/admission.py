"""Who calls, by the three modes of HEAT: a token always, a token from outside, or none on this very machine.

Whether somebody is outside is told by the address of the peer alone, never by names in headers. What comes without a
token may come from a browser that a page drives, so it is held against what browsers say of themselves.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal

from stoker.api.auth import host_name, is_loopback
from stoker.api.call import Scope, header
from stoker.api.dialects.heat.roles import SCOPES, Role
from stoker.engine.caller import Caller
from stoker.errors import Forbidden, Unauthorized

Mode = Literal["Local", "ClusterOnly", "Strict"]
CONFIGURED: dict[str, Mode] = {"clusteronly": "ClusterOnly", "strict": "Strict"}
"""What a configuration entry may turn on; Local is for whoever starts the server."""

LOOPBACK = ("127.0.0.0/8", "::1/128")
_FORWARDED = b"forwarded"
_X_FORWARDED = b"x-forwarded-"
_log = logging.getLogger("stoker.heat")


def configured(value: object) -> Mode:
    """The mode that the configuration entry means; Strict where it means none."""
    mode = CONFIGURED.get(value.strip().lower()) if isinstance(value, str) else None
    if mode is None and value is not None:
        _log.warning("system.auth_mode is %r, which it cannot be: it is Strict or ClusterOnly; Strict is used", value)
    return mode or "Strict"


def networks(value: object) -> tuple[str, ...]:
    """The networks that the configuration entry means: a list, or text with commas; loopback where it means none."""
    named = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else []
    found = [each.strip() for each in named if isinstance(each, str) and each.strip()]
    try:
        for each in found:
            ip_network(each)
    except ValueError as error:
        _log.warning("system.trusted_networks is %r, which it cannot be: %s; loopback is used", value, error)
        return LOOPBACK
    return tuple(found) or LOOPBACK


def is_external(scope: Scope, trusted: Iterable[str]) -> bool:
    """Whether a request comes from outside, or by way of somebody who says that it does."""
    if any(name == _FORWARDED or name.startswith(_X_FORWARDED) for name, _ in scope["headers"]):
        return True
    address = _peer(scope)
    return address is None or not any(_holds(ip_network(each), address) for each in trusted)


def without_token(scope: Scope, mode: Mode, trusted: Iterable[str], listed: Iterable[str]) -> Caller:
    """Who calls without a token. Unauthorized where one is needed, Forbidden where a browser seems to be driven."""
    if mode == "Strict" or (mode == "ClusterOnly" and is_external(scope, trusted)):
        raise Unauthorized(
            "this call needs a token, and carries none",
            place="header.Authorization",
            remedy="Send `Authorization: Bearer <token>`.",
        )
    address = _peer(scope)
    check_browser(scope, listed, local=mode == "Local" or (address is not None and address.is_loopback))
    return tokenless(Role.SYSTEM if mode == "Local" else Role.PRIVILEGED)


def tokenless(role: Role) -> Caller:
    """Who calls without a token: for this dialect's namespace alone, since nothing else asks for this caller."""
    return Caller(token_id=0, name=role.value, scopes=frozenset(SCOPES[role]), namespaces=frozenset({"*"}))


def check_browser(scope: Scope, listed: Iterable[str], *, local: bool) -> None:
    """Refuse what a page of another origin may have a browser do. `local`: and what a name that was bent here may."""
    origin, site, host = (header(scope, name) for name in (b"origin", b"sec-fetch-site", b"host"))
    if origin and origin not in listed:
        raise _refused(f"the page {origin[:100]!r} is not listed as one that may call", "header.Origin")
    if not origin and site not in ("", "none", "same-origin"):
        raise _refused(f"a {site[:40]!r} page makes the browser call", "header.Sec-Fetch-Site")
    if local and not is_loopback(host_name(host)):
        raise _refused(f"{host[:100]!r} is no name of this machine", "header.Host")


def _refused(why: str, place: str) -> Forbidden:
    return Forbidden(
        f"a call without a token is refused here: {why}",
        place=place,
        remedy="Send a token, or list the page in STOKER_HEAT_ORIGINS.",
    )


def _peer(scope: Scope) -> IPv4Address | IPv6Address | None:
    client = scope.get("client")
    try:
        address = ip_address(client[0]) if client else None
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def _holds(network: IPv4Network | IPv6Network, address: IPv4Address | IPv6Address) -> bool:
    return network.version == address.version and address in network
