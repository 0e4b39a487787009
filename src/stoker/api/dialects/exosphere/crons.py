"""The triggers of a graph: two shapes of a cron expression, and the schedules that they come to."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, cast
from zoneinfo import ZoneInfo

import msgspec

from stoker.api.dialects.exosphere.entries import Entries, Loc
from stoker.api.dialects.exosphere.wire import Cron, Misfire, Trigger
from stoker.core.schedule import CatchUp, cron_fault
from stoker.core.schedule_views import ScheduleSpec

_ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MISFIRES: dict[str, CatchUp] = {"latest": "latest", "skip": "none", "all": "all"}
_SOME_DAY = datetime(2024, 1, 1, tzinfo=UTC)  # expressions are read against a day, any day


def read(entries: Entries, given: object, loc: Loc) -> Trigger | None:
    """A trigger of either shape: with its type beside the value, or in it."""
    whole = entries.mapping(given, loc)
    if whole is None:
        return None
    value = entries.mapping(whole.get("value"), (*loc, "value"))
    if value is None:
        return None
    sort = entries.choice(whole.get("type", value.get("type", "CRON")), (*loc, "type"), ["CRON"])
    cron = _cron(entries, value, loc)
    return None if sort is None or cron is None else Trigger(value=cron)


def _cron(entries: Entries, value: dict[str, Any], loc: Loc) -> Cron | None:
    said: dict[str, Any] = {}
    expression = _expression(entries, value, (*loc, "expression"))
    zone = value.get("timezone")
    if zone is not None and _zone(entries, zone, (*loc, "timezone")):
        said["timezone"] = zone
    for name in ("inputs", "store"):
        if value.get(name) is not None:
            said[name] = entries.texts(value[name], (*loc, name))
    if value.get("misfire") is not None:
        said["misfire"] = cast("Misfire | None", entries.choice(value["misfire"], (*loc, "misfire"), list(_MISFIRES)))
    return None if expression is None or None in said.values() else Cron(expression=expression, **said)


def _expression(entries: Entries, value: dict[str, Any], loc: Loc) -> str | None:
    if "expression" not in value:
        entries.missing(loc, value)
        return None
    text = entries.text(value["expression"], loc)
    if text is None:
        return None
    if cron_fault(seconds_first(text), _SOME_DAY):
        entries.wrong(loc, "Invalid cron expression", text)
        return None
    return text


def _zone(entries: Entries, given: object, loc: Loc) -> bool:
    name = entries.text(given, loc)
    if name is None:
        return False
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # no such zone; no name of one; a folder of them
        entries.wrong(loc, "Invalid timezone", given)
        return False
    return True


def seconds_first(expression: str) -> str:
    """The expression as the engine reads it: aliases spelled out, and seconds, which stand last here, in front."""
    fields = _ALIASES.get(expression.strip().lower(), expression).split()
    return " ".join([fields[-1], *fields[:-1]] if len(fields) == 6 else fields)


def owned(graph: str) -> str:
    """What the names of all schedules of a graph's triggers begin with."""
    return f"exosphere-{_digest(graph.encode())}-"


def schedules(graph: str, triggers: list[Trigger], accepted: set[str]) -> dict[str, ScheduleSpec]:
    """By name, the schedule of each trigger. `accepted`: the inputs that a trigger of the graph may give."""
    return {
        owned(graph) + _digest(msgspec.json.encode(trigger)): _schedule(graph, trigger.value, accepted)
        for trigger in triggers
    }


def _schedule(graph: str, cron: Cron, accepted: set[str]) -> ScheduleSpec:
    inputs = cron.inputs or {}
    return ScheduleSpec(
        graph=graph,
        cron=seconds_first(cron.expression),
        zone=cron.timezone or "UTC",
        inputs={name: raw(value) for name, value in inputs.items() if name in accepted},
        store={name: raw(value) for name, value in (cron.store or {}).items()},
        overlap="allow",
        catch_up=_MISFIRES[cron.misfire or "latest"],
    )


def raw(value: str) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def _digest(text: bytes) -> str:
    return sha256(text).hexdigest()[:16]
