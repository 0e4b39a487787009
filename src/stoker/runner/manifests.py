"""A run against a manifest that was kept of it: the chain of that, then line by line what is so no longer."""

from __future__ import annotations

from itertools import zip_longest

import msgspec

from stoker.core.manifest import broken, title, unlike
from stoker.core.manifest_views import VerifyAnswer
from stoker.errors import Invalid

_decode = msgspec.json.Decoder(dict[str, object]).decode


def sound(kept: bytes, run: int) -> list[bytes]:
    """The lines of a manifest of this run. Invalid: it is another's, or was changed itself."""
    lines = kept.splitlines(keepends=True)
    if wrong := broken(lines):
        raise Invalid(
            f"the manifest itself does not hold: {wrong}.",
            code="broken_manifest",
            place="manifest",
            remedy="Compare with another copy of it.",
        )
    if (of := _decode(lines[0]).get("run")) != run:
        raise Invalid(f"the manifest is of run {of}, not of run {run}.", code="other_manifest", place="manifest")
    return lines


def compared(answer: VerifyAnswer, kept: list[bytes], now: bytes) -> VerifyAnswer:
    """The answer of the server, with the first thing that is not as it was."""
    for old, new in zip_longest(kept, now.splitlines(keepends=True)):
        fault = _fault(old, new)
        if fault:
            place, _, what = fault.partition(": ")
            return msgspec.structs.replace(
                answer, fits=False, place=place, fault=f"since the manifest was kept, {what}"
            )
    return answer


def _fault(old: bytes | None, new: bytes | None) -> str:
    if old is None:
        return f"{title(_decode(new or b'{}'))}: it has come"
    if new is None or title(_decode(old)) != title(_decode(new)):
        return f"{title(_decode(old))}: it is gone, or something has come before it"
    return unlike(old, new)
