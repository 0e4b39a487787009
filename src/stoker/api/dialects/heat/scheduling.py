"""The entries of the configuration that say how long leases last, and how often work is tried again."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from stoker.api.dialects.heat.configuration import Entry, decoded
from stoker.api.dialects.heat.desk import Desk
from stoker.api.dialects.heat.nouns import configuration

LONGEST_S = 30 * 86_400
MOST_RETRIES = 1_000
_log = logging.getLogger("stoker.heat")


class Scheduling(Struct, frozen=True, kw_only=True):
    """Seconds of a lease before and after the first signal; losses made good, and failures if `retry_failed`."""

    claim_timeout_s: int = 60
    run_timeout_s: int = 3600
    max_retries: int = 3
    retry_failed: bool = False

    @property
    def lease_s(self) -> tuple[float, float]:
        return self.claim_timeout_s, self.run_timeout_s


_MOST = {"claim_timeout_s": LONGEST_S, "run_timeout_s": LONGEST_S, "max_retries": MOST_RETRIES}


async def scheduling(desk: Desk) -> Scheduling:
    found = {name: await desk.named(configuration.NOUN, f"scheduler.{name}") for name in Scheduling.__struct_fields__}
    return read({name: kept.record for name, kept in found.items() if kept is not None})


def read(entries: Mapping[str, Entry]) -> Scheduling:
    """What the entries mean. What they cannot mean is logged, and the default used."""
    meant: dict[str, Any] = {}
    for name, entry in entries.items():
        value = _number(decoded(entry)) if name in _MOST else _flag(decoded(entry))
        least = 0 if name == "max_retries" else 1
        if value is None or (name in _MOST and not least <= value <= _MOST[name]):
            _log.warning("scheduler.%s is %r, which it cannot be; the default is used", name, entry.value)
        else:
            meant[name] = value
    return Scheduling(**meant)


def _number(value: Any) -> int | None:
    text = str(value).strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _flag(value: Any) -> bool | None:
    return {"true": True, "false": False}.get(str(value).strip().lower())
