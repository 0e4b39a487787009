"""`stoker selftest`: the installation proves itself, on processes and data of its own that are thrown away."""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from stoker.cli import exits, interrupts, numbers, terminal
from stoker.cli.failure import Usage
from stoker.cli.options import TEXT, Options
from stoker.errors import Unavailable

if TYPE_CHECKING:
    from stoker.selftest.evidence import Wrong
    from stoker.selftest.grinder import Report
    from stoker.selftest.quick import Done

SHOWN = 20
MOST = 2**32


def selftest(
    *,
    chaos: str | None = None,
    seed: int | None = None,
    database_url: str | None = None,
    keep: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    options: Options = TEXT,
) -> int:
    """Prove this installation: run graphs of every sort on a server and runners of its own, and check what is left.

    It works in a folder that is thrown away; your settings, data, servers and runners are not touched.

    Parameters
    ----------
    chaos: str
        The grinder, for so long (60s, 10m): random graphs, while servers and runners are killed, stopped and restarted.
    seed: int
        What graphs and blows are drawn from; a random one, which is printed, unless given.
    database_url: str
        An empty PostgreSQL database, for this alone: not taken from the settings. Unless given, SQLite in the folder.
    keep: bool
        Keep the folder with data and logs; after a failure it is kept in any case.
    """
    seconds = _seconds(chaos)
    if seconds is None and seed is not None:
        raise Usage("--seed is for --chaos", place="--seed", remedy="Add --chaos 60s, or leave out --seed.")
    database = _empty(database_url)
    drawn = random.randrange(MOST) if seed is None else seed  # noqa: S311 - draws a test, protects nothing
    with _folder(keep=keep) as folder, interrupts.also_by_sigterm():
        if seconds is None:
            good = _quick(folder, database, options, keep=keep)
        else:
            good = _grind(folder, seconds, drawn, database, options, keep=keep)
        if good and not keep:
            _forget(folder)
        elif options.output == "text":
            terminal.say(f"data, traces and logs are kept in {folder}")
    return exits.OK if good else exits.FAILED


# --- the two forms ---


def _quick(folder: Path, database: str | None, options: Options, *, keep: bool) -> bool:
    from stoker.selftest.quick import check

    cases, wrongs = check(
        folder / "site", database=database, told=_told if options.output == "text" else lambda _: None
    )
    good = not wrongs and not any(case.wrong for case in cases)
    if options.output == "json":
        terminal.document(
            {
                "ok": good,
                "cases": [_case(case) for case in cases],
                **_faults(wrongs, folder if keep or not good else None),
            }
        )
        return good
    _say_wrongs(wrongs)
    tasks = sum(case.tasks for case in cases)
    if good:
        terminal.say(f"ok: {len(cases)} graphs, {tasks} tasks, each settled once; every row is what its tasks say")
        terminal.say("next: stoker selftest --chaos 60s kills servers and runners meanwhile")
    return good


def _grind(folder: Path, seconds: float, seed: int, database: str | None, options: Options, *, keep: bool) -> bool:
    from stoker.selftest.grinder import grind

    report = grind(folder / "site", seconds, seed, database=database, told=terminal.note)
    good = not report.wrongs
    if options.output == "json":
        terminal.document(
            {"ok": good, **_report(report), **_faults(report.wrongs, folder if keep or not good else None)}
        )
        return good
    _say_wrongs(report.wrongs)
    terminal.fields(_lines(report))
    if not good:
        where = " --database-url …" if database else ""
        terminal.say(f"FAILED; again: stoker selftest --chaos {seconds:g}s --seed {seed}{where}")
    return good


# --- before and after ---


def _seconds(chaos: str | None) -> float | None:
    seconds = numbers.seconds(chaos, "--chaos")
    if seconds is not None and seconds <= 0:
        raise Usage("--chaos takes some time", place="--chaos", remedy="Write 60s, 5m or 1h30m.")
    return seconds


def _empty(url: str | None) -> str | None:
    """The database, if it may be used. Conflict if it is not empty."""
    from stoker.config import load

    if url is None:
        _need_server()
        return None
    checked = load({"database_url": url}, {}, folder=Path("/nonexistent")).database_url
    assert checked is not None
    _need_server()
    from stoker.bootstrap.opening import check_empty

    asyncio.run(check_empty(checked))
    return checked


def _need_server() -> None:
    try:
        import stoker.bootstrap.serving  # noqa: F401  brings all that a server needs
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("stoker"):
            raise
        raise Unavailable(
            f"the selftest starts a server, and for one the package {error.name!r} is missing.",
            code="no_server",
            remedy="Run `pip install 'stoker[server]'`.",
        ) from None


@contextmanager
def _folder(*, keep: bool) -> Iterator[Path]:
    """A new folder; kept, and named, if what is done in it raises."""
    folder = Path(tempfile.mkdtemp(prefix="stoker-selftest-"))
    try:
        yield folder
    except KeyboardInterrupt:
        if not keep:
            _forget(folder)
        raise
    except BaseException:
        terminal.note(f"data, traces and logs are kept in {folder}")
        raise


def _forget(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


# --- how it is shown ---


def _told(done: Done) -> None:
    terminal.say(f"{'fail' if done.wrong else 'ok':6}{done.name}: {done.tasks} tasks, {done.seconds:.1f} s")
    if done.wrong:
        terminal.say("  " + done.wrong.replace("\n", "\n  "))


def _say_wrongs(wrongs: list[Wrong]) -> None:
    for wrong in wrongs[:SHOWN]:
        terminal.say(f"wrong: {wrong}")
    if len(wrongs) > SHOWN:
        terminal.say(f"wrong: and {len(wrongs) - SHOWN} more")


def _lines(report: Report) -> list[tuple[str, str]]:
    runs = ", ".join(f"{count} {state}" for state, count in report.runs.items())
    blows = ", ".join(f"{count} {name}" for name, count in report.blows.items())
    return [
        ("result", "fail" if report.wrongs else "ok"),
        ("seed", str(report.seed)),
        ("servers", str(report.servers)),
        ("runs", f"{sum(report.runs.values())}" + (f": {runs}" if runs else "")),
        ("tasks", f"{report.tasks}, user code ran {report.executions} times"),
        ("evaluated", f"{report.evaluated} runs, whose items are those of a plain evaluation"),
        ("limits", ", ".join(f"{key!r}: at most {most} at once" for key, most in report.most.items()) or "none"),
        ("losses", f"{report.losses} leases lost, {report.failures} attempts failed as drawn"),
        ("blows", f"{sum(report.blows.values())}" + (f": {blows}" if blows else "")),
        ("seconds", f"{report.seconds:.0f}"),
        ("wrong", str(len(report.wrongs))),
    ]


def _case(done: Done) -> dict[str, Any]:
    return {"name": done.name, "tasks": done.tasks, "seconds": round(done.seconds, 3), "wrong": done.wrong}


def _report(report: Report) -> dict[str, Any]:
    return {
        "seed": report.seed,
        "servers": report.servers,
        "runs": report.runs,
        "tasks": report.tasks,
        "executions": report.executions,
        "losses": report.losses,
        "failures": report.failures,
        "evaluated": report.evaluated,
        "most": report.most,
        "blows": report.blows,
        "seconds": round(report.seconds, 3),
    }


def _faults(wrongs: list[Wrong], kept: Path | None) -> dict[str, Any]:
    return {
        "wrong": [{"rule": wrong.rule, "what": wrong.what} for wrong in wrongs],
        "folder": str(kept) if kept else None,
    }
