"""Ids that outsiders see and cannot guess: a text beside its MAC, and a run as a UUID. The keys are arguments.

A UUID of a run has version 8: 60 bits of the run's number and the first 62 bits of its MAC, no table.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

MAC_DIGITS = 16
RUN_BITS = 60
_PROOF_BITS = 62
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_VERSION, _VARIANT = 8, 2
_BLOCK = 64


def mac(key: bytes, text: str) -> str:
    """The first 8 bytes of HMAC-SHA-256, in hex."""
    return _digest(key, text)[: MAC_DIGITS // 2].hex()


def proves(keys: Iterable[bytes], text: str, given: str) -> bool:
    """Whether a MAC is one of this text under any of the keys. Each is compared in constant time."""
    proof = given.encode("utf-8", "surrogatepass")
    return any(hmac.compare_digest(mac(key, text).encode(), proof) for key in keys)


def uuid_of(key: bytes, run: int) -> str:
    """The UUID of a run, in lower case."""
    high, low = run >> 12, run & 0xFFF
    value = high << 80 | _VERSION << 76 | low << 64 | _VARIANT << 62 | _proof(key, run)
    digits = f"{value:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def run_of(keys: Iterable[bytes], uuid: str) -> int | None:
    """The run of a UUID; None if it is of no run, under any of the keys."""
    run = number_in(uuid)
    if run is None:
        return None
    proof = (int(uuid.replace("-", ""), 16) & (1 << _PROOF_BITS) - 1).to_bytes(8)
    found = any(hmac.compare_digest(_proof(key, run).to_bytes(8), proof) for key in keys)
    return run if found else None


def number_in(uuid: str) -> int | None:
    """The number that a UUID of this form carries, whoever made it; None for a text of another form."""
    if not _UUID.fullmatch(uuid):
        return None
    value = int(uuid.replace("-", ""), 16)
    if value >> 76 & 0xF != _VERSION or value >> 62 & 3 != _VARIANT:
        return None
    return value >> 80 << 12 | value >> 64 & 0xFFF


def _proof(key: bytes, run: int) -> int:
    return int.from_bytes(_digest(key, f"run {run}")[:8]) >> 64 - _PROOF_BITS


def _digest(key: bytes, text: str) -> bytes:
    """HMAC-SHA-256. That of the library lets go of the interpreter, and so waits for other threads, each time."""
    inner, outer = (half.copy() for half in _halves(key))
    inner.update(text.encode())
    outer.update(inner.digest())
    return outer.digest()


@lru_cache(16)
def _halves(key: bytes) -> tuple[Hash, Hash]:
    """The two hashes of a key, ready for a text."""
    padded = (sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
    return sha256(bytes(byte ^ 0x36 for byte in padded)), sha256(bytes(byte ^ 0x5C for byte in padded))
