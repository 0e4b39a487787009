"""Schedules that belong together and are replaced as a whole, in the transaction of what they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from stoker.core.duration import Micros
from stoker.core.schedule import next_time
from stoker.core.schedule_views import ScheduleSpec
from stoker.engine.ports import Tx
from stoker.engine.scheduled import Schedule, at_zone

_PAGE = 1_000


class ScheduleSet(NamedTuple):
    """All schedules whose names begin with `prefix`, by name; their times and zones have been checked.

    Whether their graph can be triggered is told when they fire.
    """

    prefix: str
    specs: Mapping[str, ScheduleSpec]

    async def put(self, tx: Tx, namespace: int, now: Micros) -> None:
        """Let there be these, and no others. One that was there goes on where it was."""
        there = await self._there(tx, namespace)
        for name, id_ in there.items():
            if name in self.specs:
                await _update(tx, id_, self.specs[name])
            else:
                await _delete(tx, id_)
        for name in self.specs.keys() - there.keys():
            await _insert(tx, namespace, name, self.specs[name], now)

    async def _there(self, tx: Tx, namespace: int) -> dict[str, int]:
        found: dict[str, int] = {}
        after = self.prefix
        while True:
            page = [Schedule.of(row) for row in await tx.rows("schedule_page", namespace, after, _PAGE)]
            found |= {each.name: each.id for each in page if each.name.startswith(self.prefix)}
            if len(page) < _PAGE or not page[-1].name.startswith(self.prefix):
                return found
            after = page[-1].name


async def _insert(tx: Tx, namespace: int, name: str, spec: ScheduleSpec, now: Micros) -> None:
    ((end,),) = await tx.execute("take_ids", "schedule", 1)
    at = next_time(at_zone(spec), now)
    await tx.execute("insert_schedule", end - 1, namespace, name, _body(spec), 0, now, at)


async def _update(tx: Tx, id_: int, spec: ScheduleSpec) -> None:
    for row in await tx.rows("lock_schedule", id_):
        was = Schedule.of(row)
        await tx.execute("update_schedule", _body(spec), int(was.paused), was.next_at, id_)


async def _delete(tx: Tx, id_: int) -> None:
    for _ in await tx.rows("lock_schedule", id_):
        await tx.execute("delete_firings", id_)
        await tx.execute("delete_schedule", id_)


def _body(spec: ScheduleSpec) -> str:
    return msgspec.json.encode(spec).decode()
