"""The keys of secrets as texts: in settings, in files, made anew."""

from __future__ import annotations

import base64
from pathlib import Path

from stoker.config import disk
from stoker.errors import Conflict, Invalid


def secret_key(text: str) -> bytes:
    """The key that a text stands for. ValueError, which does not show it, if it is none."""
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ValueError("that is no key, which is 32 bytes in base64; Make one with `stoker server key`.")
    return key


def new_secret_key() -> str:
    """A key, as settings and files have it."""
    import secrets

    return base64.b64encode(secrets.token_bytes(32)).decode()


def new_secret_key_file(path: Path) -> None:
    """Put a key into a new file, for its owner alone. Conflict if there is one."""
    key = new_secret_key() + "\n"
    disk.create(path, key)
    if disk.read(path) != key:
        raise Conflict(
            f"there is a file {path}, and it may be the key of secrets.",
            code="secret_key",
            place=str(path),
            remedy="Name another file. To rotate keys, put a new one (`stoker server key`) on its first line.",
        )


def secret_keys_in(path: Path) -> list[bytes]:
    """The keys in a file, one a line; the first one writes."""
    content = disk.read(path)
    lines = [line for line in (content or "").splitlines() if line.strip() and not line.startswith("#")]
    try:
        keys = [secret_key(line.strip()) for line in lines]
    except ValueError:
        keys = []
    if not keys:
        what = "there is no file" if content is None else "there is no key, or something else, in"
        raise Invalid(
            f"{what} {path}; keys of secrets are read from it, one a line, each 32 bytes in base64.",
            code="secret_key",
            place="secret_key_file",
            remedy=f"Make one with `stoker server key --file {path}`, or restore it from a copy.",
        )
    return keys
