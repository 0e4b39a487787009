"""`stoker schedules`: create, list, show, next, history, pause, resume, run, delete."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from stoker.cli import exits, inputs, numbers, terminal
from stoker.cli.failure import Usage
from stoker.cli.options import HERE, Where
from stoker.cli.reach import listed, reached

if TYPE_CHECKING:
    from stoker.core.schedule_views import FiringView, ScheduleView

app = App(
    name="schedules",
    help="Schedules: create, list, show, next, history, pause, resume, run, delete.",
    version_flags=[],
    help_epilogue="",
)

Several = Annotated[list[str] | None, Parameter(negative=())]


@app.command
def create(
    name: str,
    graph: str,
    /,
    *,
    cron: str | None = None,
    every: str | None = None,
    zone: str = "UTC",
    version: int | None = None,
    input: Annotated[list[str] | None, Parameter(name=("--input", "-i"), negative=())] = None,  # noqa: A002  its flag
    logical_time_as: str | None = None,
    store: Several = None,
    tag: Several = None,
    priority: int = 5,
    weight: int = 1,
    overlap: Literal["allow", "skip", "queue"] = "skip",
    catch_up: Literal["none", "latest", "all"] = "latest",
    start: datetime | None = None,
    end: datetime | None = None,
    paused: Annotated[bool | None, Parameter(negative=(), show_default=False)] = None,
    where: Where = HERE,
) -> int:
    """Make a schedule, or change it: as it is said here, it is then.

    stoker schedules create nightly report --cron '30 6 * * MON-FRI' --zone Europe/Berlin

    Parameters
    ----------
    name: str
        What it is called.
    graph: str
        The graph to run, pushed before.
    cron: str
        Minute, hour, day, month, weekday; L is the last day of a month.
    every: str
        Instead: an interval, such as 15m, from 1s on.
    zone: str
        The time zone that --cron is read in, such as Europe/Berlin.
    version: int
        Of the graph; else the newest each time.
    input: list[str] | None
        An input, k=v: JSON, or text.
    logical_time_as: str
        The input that is given the time a run was due.
    store: list[str] | None
        A value of the run's store, k=v: JSON, or text.
    tag: list[str] | None
        A tag of its runs, name=value.
    priority: int
        Of its runs, from 0 to 9.
    weight: int
        Of its runs, from 1 to 100.
    overlap: str
        While a run of it still runs: start one all the same, skip the time, or queue one.
    catch_up: str
        Of the times when no server was there: none, the latest, or all (at most 100).
    start: datetime
        The first moment, in UTC.
    end: datetime
        The last moment, in UTC.
    paused: bool
        Start nothing until `stoker schedules resume`.
    """
    from stoker.core.schedule_views import ScheduleSpec

    values: dict[str, Any] = {
        "inputs": _encoded(input, "--input"),
        "store": _encoded(store, "--store"),
        "tags": numbers.pairs(tag or [], "--tag"),
    }
    spec = ScheduleSpec(
        graph=graph,
        cron=cron,
        every=every,
        zone=zone,
        version=version,
        logical_time_as=logical_time_as,
        priority=priority,
        weight=weight,
        overlap=overlap,
        catch_up=catch_up,
        start=_utc(start),
        end=_utc(end),
        paused=paused,
        **values,
    )
    with reached(where) as here:
        view = here.client.call(here.client.api.schedules.put(name, spec))
    return _said(view, "is made" if view.created else "is changed", where)


@app.command(name="list")
def list_(*, limit: int = 100, after: str | None = None, where: Where = HERE) -> int:
    """List the schedules of the namespace, each with its next time.

    Parameters
    ----------
    limit: int
        How many.
    after: str
        Where the last page ended, as it said.
    """
    with reached(where) as here:
        page = listed(here, here.client.api.schedules.list(limit, after))
    if where.output == "json":
        terminal.document(page)
    elif not page.items:
        terminal.note("no schedules yet; make one with `stoker schedules create NAME GRAPH --cron '30 6 * * *'`")
    else:
        rows = [[view.name, view.spec.graph, _when(view), _next(view)] for view in page.items]
        terminal.table(["SCHEDULE", "GRAPH", "WHEN", "NEXT"], rows, grow="WHEN")
        if page.after:
            terminal.note(f"more: --after {page.after}")
    return exits.OK


@app.command
def show(name: str, /, *, where: Where = HERE) -> int:
    """Show a schedule: what it runs, when, and why it stands where it stands.

    Parameters
    ----------
    name: str
        The schedule.
    """
    with reached(where) as here:
        api = here.client.api.schedules
        view, told = here.client.call(api.get(name)), here.client.call(api.explain(name))
    if where.output == "json":
        terminal.document(view)
        return exits.OK
    spec = view.spec
    terminal.fields(
        [
            ("schedule", view.name),
            ("state", told.state),
            ("graph", spec.graph if spec.version is None else f"{spec.graph} v{spec.version}"),
            ("when", _when(view)),
            ("overlap", spec.overlap),
            ("catch-up", spec.catch_up),
            *[("because", because) for because in told.because],
            *[("next", _at(at)) for at in view.next],
        ]
    )
    return exits.OK


@app.command(name="next")
def next_(name: str, /, *, count: int = 10, where: Where = HERE) -> int:
    """Print the next times of a schedule, in UTC; none while it is paused.

    Parameters
    ----------
    name: str
        The schedule.
    count: int
        How many, at most 100.
    """
    with reached(where) as here:
        view = here.client.schedules.get(name, count)
    if where.output == "json":
        terminal.document(view.next)
    elif not view.next:
        terminal.note(f"schedule {name} {'is paused' if view.paused else 'has no time left'}")
    else:
        terminal.say("\n".join(_at(at) for at in view.next))
    return exits.OK


@app.command
def history(name: str, /, *, limit: int = 20, after: str | None = None, where: Where = HERE) -> int:
    """List what became of the times of a schedule, newest first.

    Parameters
    ----------
    name: str
        The schedule.
    limit: int
        How many.
    after: str
        Where the last page ended, as it said.
    """
    with reached(where) as here:
        page = here.client.call(here.client.api.schedules.firings(name, limit, after))
    if where.output == "json":
        terminal.document(page)
    elif not page.items:
        terminal.note(f"schedule {name} has not been due yet")
    else:
        terminal.table(["DUE", "OUTCOME", "RUN", "WHY"], _rows(page.items), grow="WHY")
        if page.after:
            terminal.note(f"more: --after {page.after}")
    return exits.OK


@app.command
def pause(name: str, /, *, where: Where = HERE) -> int:
    """Have a schedule start nothing until it is resumed.

    Parameters
    ----------
    name: str
        The schedule.
    """
    with reached(where) as here:
        view = here.client.schedules.pause(name)
    if where.output == "json":
        terminal.document(view)
    else:
        terminal.say(f"schedule {name} is paused; `stoker schedules resume {name}` has it go on")
    return exits.OK


@app.command
def resume(name: str, /, *, where: Where = HERE) -> int:
    """Have a schedule go on with its next time; what fell into the pause is not caught up.

    Parameters
    ----------
    name: str
        The schedule.
    """
    with reached(where) as here:
        view = here.client.schedules.resume(name)
    return _said(view, "goes on", where)


@app.command
def run(name: str, /, *, idempotency_key: str | None = None, where: Where = HERE) -> int:
    """Start an extra run of a schedule now, whatever runs and whether it is paused.

    Parameters
    ----------
    name: str
        The schedule.
    idempotency_key: str
        The same key gives the same run again.
    """
    with reached(where) as here:
        handle = here.client.schedules.run(name, idempotency_key)
    if where.output == "json":
        terminal.document({"id": handle.id})
    else:
        terminal.say(f"run {handle.id} of schedule {name}")
    return exits.OK


@app.command
def delete(name: str, /, *, where: Where = HERE) -> int:
    """Delete a schedule with its history; its runs stay, and go on.

    Parameters
    ----------
    name: str
        The schedule.
    """
    with reached(where) as here:
        here.client.schedules.delete(name)
    if where.output == "text":
        terminal.say(f"schedule {name} is deleted")
    return exits.OK


def _said(view: ScheduleView, what: str, where: Where) -> int:
    if where.output == "json":
        terminal.document(view)
    else:
        terminal.say(f"schedule {view.name} {what}; next: {_next(view)}")
    return exits.OK


def _encoded(given: list[str] | None, place: str) -> dict[str, Any]:
    import msgspec

    if place == "--input" and (files := [text for text in given or [] if "=@" in text]):
        raise Usage(
            f"{place} {files[0]!r} names a file, which a schedule cannot upload",
            place=place,
            remedy="Give the value itself, or make the schedule from Python: client.schedules.put.",
        )
    return {
        name: msgspec.Raw(msgspec.json.encode(inputs.loose(value)))
        for name, value in numbers.pairs(given or [], place).items()
    }


def _utc(moment: datetime | None) -> datetime | None:
    from datetime import UTC

    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def _when(view: ScheduleView) -> str:
    spec = view.spec
    return f"every {spec.every}" if spec.cron is None else f"{spec.cron} ({spec.zone})"


def _next(view: ScheduleView) -> str:
    return "paused" if view.paused else _at(view.next[0]) if view.next else "none"


def _at(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _rows(firings: Sequence[FiringView]) -> list[list[str]]:
    return [
        [
            _at(firing.at),
            f"{firing.outcome} (by hand)" if firing.extra else firing.outcome,
            "" if firing.run is None else str(firing.run),
            firing.reason,
        ]
        for firing in firings
    ]
