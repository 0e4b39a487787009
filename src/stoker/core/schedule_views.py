"""What the native API takes and shows of schedules: shapes shared by the server and the client."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Outcome = Literal["fired", "queued", "skipped", "missed", "failed"]


class ScheduleSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When to run a graph, and with what. Either `cron`, five fields read in `zone` (six: seconds first), or `every`.

    `version` None: the newest at each firing. `overlap`: what to do while a run of it still runs: start one all the
    same, skip this time, or queue one behind it. `catch_up`: of the times that came while no server was there, run
    none, the latest, or all (at most 100, the newest). `start`, `end`: the first and last moment. `logical_time_as`:
    the input that is given the time a run was due. `paused` None: as it is.
    """

    graph: str
    cron: str | None = None
    every: str | float | None = None
    zone: str = "UTC"
    version: int | None = None
    inputs: dict[str, msgspec.Raw] = {}
    logical_time_as: str | None = None
    store: dict[str, msgspec.Raw] = {}
    tags: dict[str, str] = {}
    priority: int = 5
    weight: int = 1
    overlap: Literal["allow", "skip", "queue"] = "skip"
    catch_up: Literal["none", "latest", "all"] = "latest"
    start: Moment | None = None
    end: Moment | None = None
    paused: bool | None = None


class ScheduleView(msgspec.Struct, frozen=True, kw_only=True):
    """`next`: the next times it is due; none while it is paused. `created`: whether this call made it."""

    name: str
    spec: ScheduleSpec
    paused: bool
    created_at: datetime
    next: list[datetime] = []
    created: bool = False


class FiringView(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one time of a schedule. `at`: when it was due, `done_at`: when that was decided.

    `until`: `missed` stands for all times from `at` up to this. `extra`: it was asked for by hand.
    """

    at: datetime
    outcome: Outcome
    done_at: datetime
    run: int | None = None
    reason: str = ""
    until: datetime | None = None
    extra: bool = False


class RunNowRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same `idempotency_key` gives the same run again."""

    idempotency_key: str | None = None
