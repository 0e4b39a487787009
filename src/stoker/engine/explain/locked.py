"""What is to be said of the secrets that a task needs: not set, or under a key that this server has not got."""

from __future__ import annotations

from stoker.engine.declared import Declared, found
from stoker.engine.explain.offers import Found
from stoker.engine.ports import Keyring, Reader


class Locked:
    """`keys`: those that this server has."""

    def __init__(self, keys: Keyring) -> None:
        self._keys = keys

    async def of(self, reader: Reader, declared: Declared, namespace: int, where: str) -> Found:
        """Nothing if there is nothing to say. `namespace`: of the kind. `where`: how a command names that."""
        own, kept = await found(reader, declared, namespace)
        under = {row[0]: row[1] for row in (*own, *kept)}
        unset = [name for name in declared.names if name not in under]
        shut = {name: key for name, key in under.items() if key not in self._keys.ids}
        because = [
            f"its kind declares the secret {name!r}, which is not set: unless it is optional the task FAILS"
            for name in unset
        ]
        because += [
            f"the secret {name!r} lies under the key {key}, which this server has not got: it waits for one that has"
            for name, key in shut.items()
        ]
        if shut:
            return Found(because, "Give the server that key, and start it anew; see `stoker doctor`.")
        return Found(because, f"Set it with `stoker secrets set {unset[0]}{where}`." if unset else "")
