"""HEAT's four roles, told from what a token may do, and what each may not although its scopes allow it.

Scopes are checked before: a route declares which of them open it. Here stands what is narrower than they are.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum

from stoker.core.roles import ScopeName


class Role(Enum):
    SYSTEM = "system"
    PRIVILEGED = "privileged"
    USER = "user"
    RUNNER = "runner"


SCOPES: dict[Role, tuple[ScopeName, ...]] = {
    Role.SYSTEM: ("read", "trigger", "run", "author", "admin"),
    Role.PRIVILEGED: ("read", "trigger", "run", "author"),
    Role.USER: ("read", "trigger", "author"),
    Role.RUNNER: ("run",),
}

_USER_READS = "public_api_v1."
_USER_READS_ONE = "frontend.facade"
_RUNNER_READS = ("runner_config.default_store", "runner_config.s3_gzip")
_SECRET = ("connectionstring", "secret")
REDACTED = "**REDACTED**"


def role_of(scopes: Collection[str]) -> Role:
    """The widest role whose scopes a token has; what has none of them is treated as a user, and its scopes decide."""
    if "admin" in scopes:
        return Role.SYSTEM
    for role in (Role.PRIVILEGED, Role.USER, Role.RUNNER):
        if set(SCOPES[role]) <= set(scopes):
            return role
    return Role.USER


def sees_connections(role: Role) -> bool:
    """Whether connection strings are shown as they are: runners open the stores themselves."""
    return role is not Role.USER


def may_write(role: Role, name: str) -> bool:
    """Whether a role may write this configuration entry."""
    match role:
        case Role.SYSTEM:
            return True
        case Role.PRIVILEGED:
            return not _within(name, "system")
        case _:
            return False


def may_read(role: Role, name: str, *, runner: str | None = None) -> bool:
    """Whether a role sees this configuration entry. `runner`: the name of the runner type that calls."""
    match role:
        case Role.SYSTEM | Role.PRIVILEGED:
            return True
        case Role.USER:
            return name.startswith(_USER_READS) or _within(name, _USER_READS_ONE)
        case Role.RUNNER:
            return name in _RUNNER_READS or (runner is not None and _within(name, runner))


def hides(role: Role, name: str) -> bool:
    """Whether the value of a configuration entry that a role sees is withheld from it."""
    return role is Role.USER and any(word in name.lower() for word in _SECRET)


def _within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")
