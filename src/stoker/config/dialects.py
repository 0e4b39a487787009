"""The other protocols that exist, and what each of them may be told in the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Literal

from stoker.config import values

DIALECTS: tuple[str, ...] = ("exosphere", "heat")
"""The dialects that exist in this version."""

AuthMode = Literal["Local", "ClusterOnly", "Strict"]
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Exosphere:
    """`enqueue_wait`: how long a call for work is held while there is none; 0: not at all. In seconds, as all here.

    `overdeliver`: how many times its batch a poller gets that is alone; `alone_for`: for how long no other was seen
    then. `lease_default`: how long a state may be worked on if neither graph nor node says. `max_losses`: the loss
    that fails a task. `origins`: the pages that may call from a browser, those of its dashboard unless said.
    """

    enqueue_wait: float = 20.0
    overdeliver: int = 4
    alone_for: float = 60.0
    lease_default: float = 900.0
    max_losses: int = 5
    origins: tuple[str, ...] = ("http://localhost:3000", "http://localhost:3001")


@dataclass(frozen=True, slots=True, kw_only=True)
class Heat:
    """`namespace`: the one that is served. `auth_mode` None: as its own configuration says, else Strict.

    `trusted_networks`: where callers are internal; none: as its own configuration says, else this machine.
    `origins`: the pages that may call from a browser.
    """

    namespace: str = "heat"
    auth_mode: AuthMode | None = None
    trusted_networks: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()


def named(value: Any) -> tuple[str, ...]:
    """Which dialects to speak, each once."""
    found = tuple(dict.fromkeys(part.strip() for part in map(values.text, values.parts(value)) if part.strip()))
    for name in found:
        if name not in DIALECTS:
            raise ValueError(f"there is no dialect {name!r}; Dialects that exist: {', '.join(DIALECTS)}.")
    return found


def _auth_mode(value: Any) -> str:
    modes = {"local": "Local", "clusteronly": "ClusterOnly", "strict": "Strict"}
    if str(value).lower() not in modes:
        raise ValueError(f"{value!r} is no mode; Say Local, ClusterOnly or Strict.")
    return modes[str(value).lower()]


def _many(check: Callable[[str], Any]) -> Callable[[Any], tuple[str, ...]]:
    """Each of several; `none` for none at all."""

    def parse(value: Any) -> tuple[str, ...]:
        found = tuple(part.strip() for part in map(values.text, values.parts(value or "none")))
        if found == ("none",):
            return ()
        for part in found:
            check(part)
        return found

    return parse


def _network(value: str) -> None:
    try:
        ip_network(value)
    except ValueError:
        raise ValueError(f"{value!r} is no network; Give one like 10.0.0.0/8.") from None


def _origin(value: str) -> None:
    scheme, mark, rest = value.partition("://")
    if scheme not in ("http", "https") or not mark or not rest or "/" in rest:
        raise ValueError(f"{value!r} is no origin; Give one like https://example.com:3000, or none.")


SECTIONS: Mapping[str, tuple[type[Any], Mapping[str, Callable[[Any], Any]]]] = {
    "exosphere": (
        Exosphere,
        {
            "enqueue_wait": values.seconds(0, 120),
            "overdeliver": values.number(1, 1_000),
            "alone_for": values.seconds(1, 3_600),
            "lease_default": values.seconds(1, 30 * DAY_S),
            "max_losses": values.number(1, 1_000),
            "origins": _many(_origin),
        },
    ),
    "heat": (
        Heat,
        {
            "namespace": values.text,
            "auth_mode": _auth_mode,
            "trusted_networks": _many(_network),
            "origins": _many(_origin),
        },
    ),
}
"""By the name of a section: what it is, and how each of its values is read."""
