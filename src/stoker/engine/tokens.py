"""Tokens: who may do what, where, and until when. Only hashes are kept; a token is shown once."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Any

import msgspec

from stoker.core.duration import SECOND, Micros
from stoker.core.names import fault
from stoker.core.roles import SCOPES, effective
from stoker.core.views import TokenRequest, TokenView
from stoker.engine import single
from stoker.engine.acting import Note
from stoker.engine.caller import Caller
from stoker.engine.catalog import when
from stoker.engine.ports import Clock, Dice, Row, Store, Tx
from stoker.engine.roles import role_scopes
from stoker.errors import Invalid, NotFound, Unauthorized

EVERYTHING = frozenset(SCOPES)
KNOWN_FOR: Micros = 2 * SECOND  # how long a looked-up token is believed, so that a revocation on any server takes hold
_PREFIX = "stk_"


class Tokens:
    """Finds callers by token. `root` is the server's own configured or generated token."""

    def __init__(self, store: Store, clock: Clock, dice: Dice, root: str | None) -> None:
        self._store = store
        self._clock = clock
        self._dice = dice
        self._root = None if root is None else _hash(root)
        self._seen: dict[bytes, tuple[Micros, Row, Caller]] = {}
        self._changes = 0  # of tokens and roles here: what was read before one is not believed after it

    async def caller(self, token: str) -> Caller:
        """Who presents this token. Unauthorized if it is unknown, expired or revoked."""
        digest = _hash(token)
        if digest == self._root:
            return Caller(token_id=0, name="root", scopes=EVERYTHING, namespaces=frozenset({"*"}))
        now = self._clock.now()
        found = self._seen.get(digest)
        if found is None or now - found[0] > KNOWN_FOR:
            changes = self._changes
            rows = await self._store.read(lambda reader: reader.rows("token_by_hash", digest))
            if not rows:
                raise Unauthorized(
                    "this token is not known here.",
                    remedy="Pass the server's token in STOKER_TOKEN; on its own machine it lies in <data>/token.",
                )
            found = (now, rows[0], _caller(rows[0]))
            if changes == self._changes:
                self._seen[digest] = found
        _, row, caller = found
        _check(row, now)
        return caller

    def changed(self) -> None:
        """Look every token up anew: one was revoked, or a role was changed."""
        self._changes += 1
        self._seen.clear()

    async def create(self, request: TokenRequest) -> TokenView:
        """A new token; the answer alone shows it."""
        if wrong := fault(request.name):
            raise Invalid(wrong, code="bad_name", place="name")
        if not request.scopes and request.role is None:
            raise Invalid("a token needs at least one scope, or a role.", code="no_scope", place="scopes")
        token = _PREFIX + urlsafe_b64encode(self._dice.token_bytes(32)).decode().rstrip("=")
        now = self._clock.now()
        expires = None if request.expires_in_s is None else now + int(request.expires_in_s * SECOND)
        namespaces = request.namespaces or ["*"]

        async def insert(tx: Tx) -> tuple[int, list[str]]:
            scopes = effective(request.scopes, request.role, await role_scopes(tx, request.role))
            lists = (_json(sorted(set(request.scopes))), _json(namespaces), _json(request.kinds))
            digest = _hash(token)
            ((id_,),) = await tx.execute("insert_token", request.name, digest, *lists, now, expires, request.role)
            return int(id_), scopes

        given = {name: value for name, value in msgspec.to_builtins(request).items() if value}
        id_, scopes = await single.transact(self._store, insert, lambda made: Note([f"token:{made[0]}"], given))
        return TokenView(
            id=id_,
            name=request.name,
            scopes=scopes,
            role=request.role,
            namespaces=namespaces,
            kinds=request.kinds,
            created_at=when(now),
            expires_at=None if expires is None else when(expires),
            token=token,
        )

    async def list(self) -> list[TokenView]:
        """Every token ever made, without its secret."""
        return [_view(row) for row in await self._store.read(lambda reader: reader.rows("tokens"))]

    async def revoke(self, token_id: int) -> None:
        """End a token now; servers that have seen it within the last 2 s learn of it then."""
        now = self._clock.now()

        async def revoke(tx: Tx) -> str:
            for _, name in await tx.execute("revoke_token", now, token_id):
                return str(name)
            raise NotFound(f"there is no token {token_id} to revoke.", code="no_token", place=f"tokens/{token_id}")

        await single.transact(self._store, revoke, lambda name: Note([f"token:{token_id}"], {"name": name}))
        self.changed()


def _hash(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogatepass")).digest()


def _json(values: Any) -> str:
    return msgspec.json.encode(values).decode()


def _check(row: Row, now: Micros) -> None:
    """Refuse a token whose time is over."""
    id_, name, *_, expires, revoked, _, _ = row
    place = f"tokens/{id_}"
    if revoked is not None:
        raise Unauthorized(
            f"the token {name!r} was revoked.", code="token_revoked", place=place, remedy="Ask for a new one."
        )
    if expires is not None and expires <= now:
        raise Unauthorized(
            f"the token {name!r} has expired.", code="token_expired", place=place, remedy="Ask for a new one."
        )


def _caller(row: Row) -> Caller:
    id_, name, _, namespaces, kinds, _, _, _, role, _ = row
    return Caller(
        token_id=id_,
        name=name,
        scopes=frozenset(_scopes(row)),
        namespaces=frozenset(msgspec.json.decode(namespaces, type=list[str])),
        kinds=frozenset(msgspec.json.decode(kinds, type=list[str])),
        role=role,
    )


def _scopes(row: Row) -> list[str]:
    """What a token may do now: last in its row is what is kept of its role."""
    own, role, kept = row[2], row[8], row[9]
    decode = msgspec.json.Decoder(list[str]).decode
    return effective(decode(own), role, () if kept is None else decode(kept))


def _view(row: Row) -> TokenView:
    id_, name, _, namespaces, kinds, created, expires, revoked, role, _ = row
    return TokenView(
        id=id_,
        name=name,
        scopes=_scopes(row),
        role=role,
        namespaces=msgspec.json.decode(namespaces, type=list[str]),
        kinds=msgspec.json.decode(kinds, type=list[str]),
        created_at=when(created),
        expires_at=None if expires is None else when(expires),
        revoked_at=None if revoked is None else when(revoked),
    )
