"""Roles that are not built in: made, changed, listed, deleted. Tokens may do what their role allows at each call."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from stoker.core.names import fault
from stoker.core.roles import BUILT_IN, SCOPES
from stoker.core.views import RoleRequest, RoleView
from stoker.core.words import counted
from stoker.engine import single
from stoker.engine.acting import Note
from stoker.engine.ports import Clock, Reader, Row, Store, Tx
from stoker.errors import Conflict, Invalid, NotFound


class Roles:
    """`changed`: called when tokens may do something else from now on."""

    def __init__(self, store: Store, clock: Clock, changed: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._changed = changed

    async def put(self, name: str, request: RoleRequest) -> RoleView:
        """Make a role, or change it. Conflict if it is a built-in one."""
        if wrong := fault(name) or ("/" in name and f"the name {name!r} holds a slash, which paths are made of"):
            raise Invalid(wrong, code="bad_name", place="name")
        _not_built_in(name, "changed")
        if not request.scopes:
            raise Invalid("a role needs at least one scope.", code="no_scope", place="scopes", remedy=_KNOWN)
        scopes, now = sorted(set(request.scopes)), self._clock.now()

        async def put(tx: Tx) -> tuple[bool, int]:
            known = await tx.rows("role", name)
            await tx.execute("put_role", name, msgspec.json.encode(scopes).decode(), now)
            return not known, (await _holders(tx, now)).get(name, 0)

        created, tokens = await single.transact(self._store, put, lambda _: Note([f"role:{name}"], {"scopes": scopes}))
        self._changed()
        return RoleView(name=name, scopes=scopes, tokens=tokens, created=created)

    async def list(self) -> list[RoleView]:
        """All roles, those that are built in first."""

        async def find(reader: Reader) -> tuple[list[Row], dict[str, int]]:
            return await reader.rows("roles"), await _holders(reader, self._clock.now())

        kept, tokens = await self._store.read(find)
        views = [RoleView(name=name, scopes=[*scopes], built_in=True) for name, scopes in BUILT_IN.items()]
        views += [RoleView(name=name, scopes=msgspec.json.decode(scopes)) for name, scopes in kept]
        return [msgspec.structs.replace(view, tokens=tokens.get(view.name, 0)) for view in views]

    async def delete(self, name: str) -> None:
        """Forget a role. Conflict while tokens have it."""
        _not_built_in(name, "deleted")
        now = self._clock.now()

        async def delete(tx: Tx) -> None:
            if not await tx.execute("delete_role", name):
                raise no_role(name)
            if tokens := (await _holders(tx, now)).get(name, 0):
                raise Conflict(
                    f"{counted(tokens, 'token')} {'has' if tokens == 1 else 'have'} the role {name!r}.",
                    code="role_in_use",
                    place=f"roles/{name}",
                    remedy="Revoke them first; `stoker tokens list` shows which.",
                )

        await single.transact(self._store, delete, lambda _: Note([f"role:{name}"]))
        self._changed()


async def role_scopes(reader: Reader, role: str | None) -> list[str]:
    """What is kept of a role. NotFound if it is neither there nor built in."""
    if role is None or role in BUILT_IN:
        return []
    for (scopes,) in await reader.rows("role", role):
        return msgspec.json.decode(scopes, type=list[str])
    raise no_role(role)


def no_role(name: str) -> NotFound:
    return NotFound(
        f"there is no role {name!r}.",
        code="no_role",
        place=f"roles/{name}",
        remedy=f"Built in are {', '.join(BUILT_IN)}; others are made with `stoker roles set NAME --scope …`.",
    )


_KNOWN = f"The scopes are {', '.join(SCOPES)}."


def _not_built_in(name: str, what: str) -> None:
    if name in BUILT_IN:
        raise Conflict(
            f"the role {name!r} is built in, and cannot be {what}.",
            code="built_in_role",
            place=f"roles/{name}",
            remedy="Make one of another name.",
        )


async def _holders(reader: Reader, now: int) -> dict[str, int]:
    return {role: tokens for role, tokens in await reader.rows("role_tokens", now)}  # noqa: C416  rows are sequences
