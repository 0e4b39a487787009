"""`stoker db`: the database itself, without a server: what is in it, its schema, and the move to another one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from cyclopts import App

from stoker.cli import exits, terminal
from stoker.cli.options import STORE, Store
from stoker.cli.sizes import sized
from stoker.config import Settings, load
from stoker.errors import Invalid, Unavailable

if TYPE_CHECKING:
    from stoker.bootstrap.moving import Report
    from stoker.bootstrap.place import Place
    from stoker.storage.mover import Moved
    from stoker.storage.survey import Survey

T = TypeVar("T")

app = App(name="db", help="The database: status, migrate, move, backup, restore.", version_flags=[], help_epilogue="")
app.command("stoker.cli.backing:backup", name="backup", help="Back a whole installation up while it works.")
app.command("stoker.cli.backing:restore", name="restore", help="Bring a backup into a new data folder.")


@app.command
def status(*, options: Store = STORE) -> int:
    """Show what the database is and holds. Changes nothing; works while servers run."""
    place = _place(options)
    from stoker.bootstrap.survey import survey

    found, servers = _finished(survey(place))
    if options.output == "json":
        terminal.document(_document(found, servers))
    else:
        terminal.fields(_lines(found, servers))
    return exits.OK


@app.command
def migrate(*, options: Store = STORE) -> int:
    """Bring the schema of the database up to date. A server does this too when it starts."""
    place = _place(options)
    from stoker.bootstrap.survey import migrate as brought_up

    before, after = _finished(brought_up(place))
    if options.output == "json":
        terminal.document({"database": place.shown, "from": before, "to": after})
    elif before == after:
        terminal.say(f"{place.shown} has schema {after} already; there is nothing to do")
    else:
        terminal.say(f"{place.shown} was brought from schema {before} to {after}")
    return exits.OK


@app.command
def move(*, to: str, options: Store = STORE) -> int:
    """Move the whole installation to another database; what it is moved from is left as it was.

    Stop the servers first. Every row is copied with its ids, read back and compared; the target gets all of it, or
    nothing. Runs that go on are moved too: runners report to the server that is started on the target.

    Parameters
    ----------
    to: str
        An empty PostgreSQL database, postgresql://user:password@host/name; or a new data folder, for SQLite in it.
    """
    source = _place(options)
    from stoker.bootstrap.moving import move as moved
    from stoker.bootstrap.place import there

    try:
        target = there(source, to)
        _ = target.shown
    except Invalid as error:
        error.place = "--to"
        raise
    report = _finished(moved(source, target, _told if options.output == "text" else lambda _: None))
    if options.output == "json":
        terminal.document(_report(report))
        return exits.OK
    rows = [[one.table, str(one.rows), one.digest[:12], "ok"] for one in report.tables]
    terminal.table(["TABLE", "ROWS", "SHA-256", ""], rows)
    for line in _next(report):
        terminal.say(line)
    if report.missing:
        terminal.note(
            f"warning: {report.missing} rows name bytes that are not in {source.artifacts}; "
            "if they lie in another folder, name that with --artifacts"
        )
    return exits.OK


def _told(one: Moved) -> None:
    if one.rows:
        terminal.note(f"copied {one.table}: {one.rows}")


# --- which, and how ---


def _place(options: Store) -> Place:
    settings = load({"data": options.data, "database_url": options.database_url, "artifacts": options.artifacts})
    return _of(settings)


def _of(settings: Settings) -> Place:
    try:
        from stoker.bootstrap.place import here
        from stoker.storage.sqlite import look  # noqa: F401  brings the driver
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("stoker"):
            raise
        raise Unavailable(
            f"the package {error.name!r} is missing.", remedy="Run `pip install 'stoker[server]'`."
        ) from None
    return here(settings)


def _finished(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


# --- how it is shown ---


def _document(found: Survey, servers: list[str]) -> dict[str, Any]:
    return {
        "database": found.place,
        "product": found.product,
        "version": found.version,
        "schema": found.schema,
        "newest": found.newest,
        "bytes": found.size,
        "namespaces": found.namespaces,
        "graphs": found.graphs,
        "runs": found.runs,
        "tasks": found.tasks,
        "artifacts": {"count": found.artifacts, "bytes": found.artifact_bytes},
        "tokens": found.tokens,
        "servers": servers,
    }


def _lines(found: Survey, servers: list[str]) -> list[tuple[str, str]]:
    lines = [
        ("database", found.place),
        ("product", f"{found.product} {found.version}"),
        ("schema", _schema(found)),
        ("size", sized(found.size)),
    ]
    if 0 < found.schema <= found.newest:
        by_state = ", ".join(f"{count} {state}" for state, count in found.runs.items())
        lines += [
            ("namespaces", str(found.namespaces)),
            ("graphs", str(found.graphs)),
            ("runs", str(sum(found.runs.values())) + (f": {by_state}" if by_state else "")),
            ("tasks", str(found.tasks)),
            ("artifacts", f"{found.artifacts}, {sized(found.artifact_bytes)}"),
            ("tokens", f"{found.tokens}, besides the servers' own"),
        ]
    return [*lines, ("servers", f"{len(servers)} alive: {', '.join(servers)}" if servers else "none is alive")]


def _schema(found: Survey) -> str:
    if found.schema == 0:
        return "none yet; it is made at the first start, or by `stoker db migrate`"
    if found.schema > found.newest:
        return f"{found.schema}; this version of Stoker knows schemas up to {found.newest}: upgrade it"
    if found.schema < found.newest:
        return f"{found.schema}; brought to {found.newest} at the next start, or by `stoker db migrate`"
    return f"{found.schema}, the newest"


def _report(report: Report) -> dict[str, Any]:
    linked = report.linked
    return {
        "source": report.source.shown,
        "target": report.target.shown,
        "tables": [{"table": one.table, "rows": one.rows, "sha256": one.digest} for one in report.tables],
        "artifacts": {
            "folder": str(report.target.artifacts),
            "files": linked.files if linked else None,
            "bytes": linked.size if linked else None,
            "missing": report.missing,
        },
        "settings": _settings(report),
    }


def _settings(report: Report) -> dict[str, str | None]:
    """What servers are told from now on; None: no longer."""
    target = report.target
    if target.database is None:
        return {"STOKER_DATA": str(target.data), "STOKER_DATABASE_URL": None, "STOKER_ARTIFACTS": None}
    from stoker.bootstrap.databases import masked

    return {"STOKER_DATABASE_URL": masked(target.database), "STOKER_ARTIFACTS": str(target.artifacts)}


def _next(report: Report) -> list[str]:
    linked = report.linked
    where = f"{report.target.artifacts}"
    files = (
        f"{linked.files} artifacts, {sized(linked.size)}, are in {where}" if linked else f"artifacts stay in {where}"
    )
    settings = _settings(report)
    return [
        f"moved to {report.target.shown}; {files}",
        f"{report.source.shown} is as it was",
        "next: start servers with",
        *(f"  {name}={value}" for name, value in settings.items() if value is not None),
        *(f"  and without {name}" for name, value in settings.items() if value is None),
    ]
