"""AES-256-GCM under the keys of the settings: the first one writes, all of them read.

Only here is anything encrypted; the library is imported with the first secret.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from secrets import token_bytes

from stoker.config import Settings, new_secret_key_file, secret_key, secret_keys_in
from stoker.engine.ports import Sealed, Shut
from stoker.engine.secrets import no_key
from stoker.errors import Conflict

FILE = "secret.key"
"""The key in the data folder: read if it is there, made by servers inside of a process when they need one."""

_FORM = b"\1"
_NONCE = 12  # bytes; random, which is safe for 2^32 values under one key


class Keyring:
    """Keys by their ids. `make` gives a key where there is none and something is to be encrypted."""

    def __init__(self, keys: Sequence[bytes] = (), make: Callable[[], bytes] | None = None) -> None:
        self._keys = {id_of(key): key for key in keys}
        self._make = make

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(self._keys)

    def seal(self, value: bytes, bound: bytes) -> Sealed:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if not self._keys and self._make is not None:
            made = self._make()
            self._keys[id_of(made)] = made
        for id_, key in self._keys.items():
            nonce = token_bytes(_NONCE)
            return Sealed(id_, _FORM + nonce + AESGCM(key).encrypt(nonce, value, bound))
        raise no_key("nothing can be kept secret")

    def open(self, sealed: Sealed, bound: bytes) -> bytes:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        key, form, body = self._keys.get(sealed.key), sealed.body[:1], sealed.body[1:]
        if key is None:
            raise Shut(f"its key {sealed.key} is not here")
        if form != _FORM or len(body) < _NONCE:
            raise Shut("it is no ciphertext of ours")
        try:
            return AESGCM(key).decrypt(body[:_NONCE], body[_NONCE:], bound)
        except InvalidTag:
            raise Shut("it was changed, or written for another name") from None


def of(settings: Settings, *, make: bool = False) -> Keyring:
    """The keys of an installation: those in the environment, then those of the file. `make`: one if there is none."""
    keys = [secret_key(text) for text in settings.secret_key]
    if settings.secret_key_file is not None:
        return Keyring([*keys, *secret_keys_in(settings.secret_key_file)])
    return beside(settings.data, keys, make=make and settings.database_url is None)


def beside(data: Path, keys: Sequence[bytes] = (), *, make: bool) -> Keyring:
    """These keys, and those in the data folder.

    One is made there only for the database there: a shared one needs a key that all of its servers have.
    """
    path = data / FILE
    found = secret_keys_in(path) if path.exists() else []
    return Keyring([*keys, *found], (lambda: made(path)) if make else None)


def made(path: Path) -> bytes:
    """The key in a file that is made, readable by its owner alone, unless somebody else just did."""
    with suppress(Conflict):
        new_secret_key_file(path)
    return secret_keys_in(path)[0]


def id_of(key: bytes) -> str:
    """Short, the same everywhere, and of no help to find the key."""
    return sha256(b"stoker key id" + key).hexdigest()[:8]
