"""Secrets: set, listed without values, deleted, encrypted anew. The values go out with leases alone (`delivery`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stoker.core.secret import bound, bound_to_graph, name_fault, value_fault
from stoker.core.secret_views import KeyView, RotateAnswer, SecretRequest, SecretView
from stoker.core.views import Page
from stoker.core.words import counted
from stoker.engine import single
from stoker.engine.acting import Note
from stoker.engine.catalog import when
from stoker.engine.graph_secrets import GraphSecrets, sealed
from stoker.engine.namespaces import Namespaces
from stoker.engine.paging import cursor, key, limited
from stoker.engine.ports import Clock, Keyring, Row, Sealed, Shut, Store, Tx
from stoker.errors import Conflict, Invalid, NotFound

SLICE = 100  # secrets that one transaction encrypts anew


class Secrets:
    """What callers do with secrets. None of it gives a value."""

    def __init__(self, store: Store, namespaces: Namespaces, keys: Keyring, clock: Clock) -> None:
        self._store = store
        self._namespaces = namespaces
        self._keys = keys
        self._clock = clock

    async def put(self, namespace: str, name: str, request: SecretRequest) -> SecretView:
        """Set a secret, or set it anew. Conflict where this server has not got the keys of those that are there."""
        for place, wrong in (("name", name_fault(name)), ("value", value_fault(request.value))):
            if wrong:
                raise Invalid(f"this cannot be a secret: {wrong}.", code="bad_secret", place=place)
        await self._check_keys(name)
        number = await self._namespaces.made(namespace)
        sealed = self._keys.seal(request.value.encode(), bound(namespace, name))
        now = self._clock.now()

        async def put(tx: Tx) -> bool:
            there = await tx.execute("secrets_named", number, [name])
            await tx.execute("put_secret", number, name, sealed.key, sealed.body, now)
            return not there

        created = await single.transact(
            self._store, put, lambda created: Note([f"secret:{name}"], {"key": sealed.key, "created": created})
        )
        return SecretView(name=name, key=sealed.key, updated_at=when(now), created=created)

    async def list(self, namespace: str, *, limit: int, after: str | None) -> Page[SecretView]:
        """By name, without values."""
        number, limit = await self._namespaces.existing(namespace), limited(limit)
        rows = await self._store.read(lambda reader: reader.rows("secret_page", number, after or "", limit + 1))
        items = [SecretView(name=name, key=key_id, updated_at=when(at)) for name, key_id, at in rows[:limit]]
        return Page(items=items, after=items[-1].name if len(rows) > limit else None)

    async def delete(self, namespace: str, name: str) -> None:
        number = await self._namespaces.existing(namespace)

        async def delete(tx: Tx) -> None:
            if not await tx.execute("delete_secret", number, name):
                raise NotFound(
                    f"the namespace {namespace!r} has no secret {name!r}.",
                    code="no_secret",
                    place=f"secrets/{name}",
                    remedy="List them with `stoker secrets list`.",
                )

        await single.transact(self._store, delete, lambda _: Note([f"secret:{name}"]))

    async def sealed(self, namespace: str, graph: str, values: Mapping[str, str]) -> GraphSecrets:
        """All secrets that a graph has of its own, for `Changes.put_secrets`. Conflict as of `put`."""
        for name in list(values)[:1]:
            await self._check_keys(name)
        return sealed(self._keys, namespace, graph, values)

    async def of_graph(self, namespace: str, graph: str) -> Sequence[str]:
        """The names of the secrets that a graph has of its own."""
        number = await self._namespaces.existing(namespace)
        return [row[0] for row in await self._store.read(lambda reader: reader.rows("graph_secrets", number, graph))]

    async def rotate(self, after: str | None = None) -> RotateAnswer:
        """Encrypt the next few secrets, of all namespaces, that do not lie under the key that writes."""
        writes = self._keys.ids[0] if self._keys.ids else None
        if writes is None:
            raise no_key("secrets cannot be encrypted anew")
        await self._namespaces.load()
        start = (0, "", "") if after is None else cursor(after, (int, str, str))

        async def put(tx: Tx) -> tuple[int, list[str], list[Row]]:
            rows = await tx.rows("secrets_to_rotate", writes, *start, SLICE)
            done, left = 0, []
            for number, graph, name, was_key, was in rows:
                namespace = self._namespaces.name(number)
                context = bound_to_graph(namespace, graph, name) if graph else bound(namespace, name)
                try:
                    anew = self._keys.seal(self._keys.open(Sealed(was_key, was), context), context)
                except Shut:
                    left.append("/".join((namespace, graph, name) if graph else (namespace, name)))
                else:
                    place = (number, graph, name) if graph else (number, name)
                    verb = "rotate_graph_secret" if graph else "rotate_secret"
                    done += len(await tx.execute(verb, anew.key, anew.body, *place, was))
            return done, left, rows

        done, left, rows = await single.transact(
            self._store, put, lambda put: Note([f"key:{writes}"], {"rotated": put[0], "left": len(put[1])})
        )
        following = key(*rows[-1][:3]) if len(rows) == SLICE else None
        return RotateAnswer(rotated=done, left=left, after=following)

    async def keys(self) -> Sequence[KeyView]:
        """The keys of this server, the one that writes first, and those that secrets lie under."""
        rows = await self._store.read(lambda reader: reader.rows("secret_keys"))
        used: dict[str, int] = {row[0]: row[1] for row in rows}
        here = self._keys.ids
        return [
            KeyView(id=each, here=each in here, writes=each == here[0] if here else False, secrets=used.get(each, 0))
            for each in dict.fromkeys([*here, *used])
        ]

    async def missing(self) -> dict[str, int]:
        """The keys that this server has not got, and how many secrets lie under each."""
        return {each.id: each.secrets for each in await self.keys() if not each.here}

    async def _check_keys(self, name: str) -> None:
        """Refuse to write beside secrets that cannot be read: the key is likely to be the wrong one."""
        if missing := await self.missing():
            raise Conflict(
                f"the secret {name!r} cannot be set: {told(missing)}.",
                code="secret_key",
                remedy="Give the server that key too, the first one being the one to write with. If it is lost, delete "
                "those secrets (`stoker secrets list` shows their keys) and set them anew.",
            )


def told(missing: dict[str, int]) -> str:
    """Which keys are needed, and for what."""
    keys = ", ".join(f"{each} ({counted(secrets, 'secret')})" for each, secrets in missing.items())
    return f"this server has not got the {'key' if len(missing) == 1 else 'keys'} {keys}, which secrets lie under"


def no_key(what: str) -> Conflict:
    return Conflict(
        f"{what}: this server has no key to encrypt under.",
        code="secret_key",
        remedy="Make one with `stoker server key --file FILE`, name it by STOKER_SECRET_KEY_FILE or `secret_key_file` "
        "in the server's settings, and start the server anew.",
    )
