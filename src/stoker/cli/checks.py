"""What `stoker doctor` looks at. Each check is a function that returns what it found; none changes anything."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from stoker.cli import reach, terminal
from stoker.cli.options import Where
from stoker.config import Settings, read_server_file
from stoker.core.words import counted
from stoker.errors import Forbidden, NotFound, StokerError

if TYPE_CHECKING:
    from stoker.runner.client import Client

BASE = ("aiohttp", "cyclopts", "msgspec", "pydantic", "rich")
SERVER = ("apsw", "httptools", "jsonschema-rs", "uvicorn", "uvloop", "watchfiles")
POSTGRES = ("asyncpg",)
ROOMY = 1_000_000_000  # bytes free
FULL = 100_000_000
SKEW = timedelta(seconds=5)  # times in logs mislead beyond


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    name: str
    status: Literal["ok", "warn", "fail"]
    found: str
    remedy: str = ""


def checks(where: Where) -> list[Check]:
    """Everything, in the order in which to mend it."""
    found = [_python(), _package(), _base(), _extra()]
    try:
        settings = reach.settings_of(where)
    except StokerError as error:
        return [*found, _failed("settings", error)]
    data = settings.data
    found += [_folder(data), _disk(data), _owner(data)]
    found += _postgres(settings) if settings.database_url else [_schema(data)]
    return [*found, *_server(settings)]


# --- the installation ---


def _python() -> Check:
    text = f"{sys.version.split()[0]} at {terminal.home(sys.executable)}"
    if sys.version_info < (3, 11):  # noqa: UP036  installers may be told to ignore what the package requires
        return Check(name="python", status="fail", found=text, remedy="Stoker needs Python 3.11 or newer.")
    return Check(name="python", status="ok", found=text)


def _package() -> Check:
    return Check(name="stoker", status="ok", found=version("stoker"))


def _base() -> Check:
    have, missing = _versions(BASE)
    if missing:
        remedy = "pip install --upgrade stoker"
        return Check(name="packages", status="fail", found=f"missing: {', '.join(missing)}", remedy=remedy)
    return Check(name="packages", status="ok", found=", ".join(have))


def _extra() -> Check:
    have, missing = _versions(SERVER)
    if missing:
        return Check(
            name="stoker[server]",
            status="warn",
            found=f"missing: {', '.join(missing)}; this installation can run runners, but no server",
            remedy="pip install 'stoker[server]'",
        )
    return Check(name="stoker[server]", status="ok", found=", ".join(have))


def _versions(names: tuple[str, ...]) -> tuple[list[str], list[str]]:
    have, missing = [], []
    for name in names:
        try:
            have.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    return have, missing


# --- the data folder ---


def _folder(data: Path) -> Check:
    text = terminal.home(data)
    try:
        if not data.exists():
            return Check(name="data folder", status="ok", found=f"{text} (not made yet)")
        if not data.is_dir():
            return Check(
                name="data folder", status="fail", found=f"{text} is no folder", remedy="Name another with --data."
            )
    except OSError as error:
        return Check(name="data folder", status="fail", found=f"{text}: {error.strerror}", remedy=_OTHER_FOLDER)
    if not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        return Check(
            name="data folder", status="fail", found=f"{text} cannot be read and written", remedy=_OTHER_FOLDER
        )
    return Check(name="data folder", status="ok", found=text)


_OTHER_FOLDER = "Make it writable for this user, or name another with --data."


def _disk(data: Path) -> Check:
    here = next(folder for folder in (data, *data.parents) if os.access(folder, os.F_OK))
    free = shutil.disk_usage(here).free
    text = f"{free / 1e9:.1f} GB free"
    if free < FULL:
        return Check(name="disk", status="fail", found=text, remedy="Make room: without it, nothing can be written.")
    if free < ROOMY:
        return Check(name="disk", status="warn", found=text, remedy="Make room: results and artifacts are kept here.")
    return Check(name="disk", status="ok", found=text)


def _owner(data: Path) -> Check:
    alive = read_server_file(data) if os.access(data, os.X_OK) else None
    if alive is not None:
        return Check(name="in use by", status="ok", found=f"the server {alive.url} (pid {alive.pid})")
    if _locked(data):
        return Check(
            name="in use by",
            status="warn",
            found="a process that has not said where it listens",
            remedy=f"It may be starting. Find it with `fuser {data / 'lock'}`.",
        )
    return Check(name="in use by", status="ok", found="nobody")


def _locked(data: Path) -> bool:
    """Whether a process holds the folder; looking takes the lock for an instant, which a starting server waits out."""
    try:
        handle = os.open(data / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _schema(data: Path) -> Check:
    path = data / "stoker.db"
    newest = max(int(one.name[:4]) for one in files("stoker.storage").joinpath("sqlite", "migrations").iterdir())
    if not os.access(path, os.F_OK):
        return Check(name="database", status="ok", found="none yet; it is made at the first use")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            ((found,),) = connection.execute("PRAGMA user_version")
    except sqlite3.Error as error:
        remedy = "Restore a backup, or name another folder with --data."
        return Check(name="database", status="fail", found=f"{terminal.home(path)}: {error}", remedy=remedy)
    if found > newest:
        return Check(
            name="database",
            status="fail",
            found=f"schema {found}; this version knows up to {newest}",
            remedy="Upgrade Stoker, or restore a backup made before the database was upgraded.",
        )
    more = f"; brought to {newest} at the next start" if found < newest else ""
    return Check(name="database", status="ok", found=f"schema {found}{more}, {path.stat().st_size / 1e6:.1f} MB")


# --- PostgreSQL ---


def _postgres(settings: Settings) -> Iterator[Check]:
    have, missing = _versions(POSTGRES)
    if missing:
        remedy = "pip install 'stoker[postgres]'"
        yield Check(name="stoker[postgres]", status="fail", found=f"missing: {', '.join(missing)}", remedy=remedy)
        return
    yield Check(name="stoker[postgres]", status="ok", found=", ".join(have))
    try:
        yield _asked(settings)
    except ModuleNotFoundError as error:  # of the other extra, which has a line of its own
        yield Check(name="database", status="fail", found=f"not asked: the package {error.name!r} is missing")
    except StokerError as error:
        yield Check(name="database", status="fail", found=f"{error.place}: {error.message}", remedy=error.remedy)


def _asked(settings: Settings) -> Check:
    from stoker.bootstrap.place import here
    from stoker.bootstrap.survey import health

    place = here(settings)
    found = asyncio.run(health(settings.database_url or "", place.artifacts))
    text = f"PostgreSQL {found.version} at {place.shown}"
    if found.too_old:
        return Check(name="database", status="fail", found=text, remedy="Upgrade it: Stoker needs 14 or newer.")
    if found.schema > found.newest:
        return Check(
            name="database",
            status="fail",
            found=f"{text}, schema {found.schema}; this version knows up to {found.newest}",
            remedy="Upgrade Stoker, or restore a backup made before the database was upgraded.",
        )
    if found.missing:
        return Check(
            name="database",
            status="fail",
            found=f"{text}, where its user lacks the right to {'; '.join(found.missing)}",
            remedy="Make the user the owner of the database, or GRANT what is missing.",
        )
    more = f"; brought to {found.newest} at the next start" if found.schema < found.newest else ""
    text = f"{text}, schema {found.schema}{more}, {found.size / 1e6:.1f} MB"
    if found.risky:
        remedy = "Set fsync=on and synchronous_commit=on there: without them a crash may lose what was acknowledged."
        return Check(name="database", status="warn", found=text, remedy=remedy)
    return Check(name="database", status="ok", found=text)


# --- the server ---


def _server(settings: Settings) -> Iterator[Check]:
    try:
        server = reach.find(settings)
    except StokerError as error:
        yield _failed("server", error)
        return
    if server is None:
        yield Check(
            name="server",
            status="warn",
            found=f"none is configured or alive here; commands work on the {_store(settings)} themselves",
            remedy="Start one with `stoker server start`, or set STOKER_URL.",
        )
        return
    from stoker.runner.client import Client

    try:
        client = Client(server.url, server.token, settings.namespace)
    except StokerError as error:
        yield _failed("server", error)
        return
    with client:
        yield from _reached(client, server)


def _store(settings: Settings) -> str:
    return "data folder" if settings.database_url is None else "database"


def _reached(client: Client, server: reach.Server) -> Iterator[Check]:
    try:
        client.call(client.api.ready())
    except StokerError as error:
        yield _failed("server", error)
        return
    yield Check(name="server", status="ok", found=f"{server.url} answers ({server.how})")
    yield _clock(client)
    yield Check(name="telemetry", status="ok", found=f"{_metrics(client)}; {_tracing()}")
    yield from _dialects(client)
    try:
        views = client.call(client.api.runners())
    except NotFound:
        name = client.api.namespace
        yield Check(
            name="token", status="ok", found=f"accepted; the namespace {name!r} is made when a graph is pushed to it"
        )
        return
    except StokerError as error:
        yield _failed("token", error)
        return
    yield Check(name="token", status="ok", found=f"accepted for the namespace {client.api.namespace!r}")
    yield from _secrets(client)
    names = sorted(one.name for one in views if one.connected)
    if not names:
        remedy = "Start one with `stoker runner start FILE`."
        yield Check(name="runners", status="warn", found="none is connected", remedy=remedy)
    else:
        yield Check(name="runners", status="ok", found=f"{len(names)} connected: {', '.join(names)}")


def _secrets(client: Client) -> Iterator[Check]:
    """Whether the server has the keys of its secrets; nothing where there are none, or the token may not know."""
    try:
        keys = client.call(client.api.secrets.keys())
    except StokerError:
        return
    if missing := [f"{key.id} ({counted(key.secrets, 'secret')})" for key in keys if not key.here]:
        remedy = "Start the server with these keys too (STOKER_SECRET_KEY, STOKER_SECRET_KEY_FILE): tasks wait for it."
        yield Check(name="secrets", status="fail", found=f"the server has not got {', '.join(missing)}", remedy=remedy)
    elif any(key.secrets for key in keys):
        found = ", ".join(f"{counted(key.secrets, 'secret')} under {key.id}" for key in keys if key.secrets)
        yield Check(name="secrets", status="ok", found=found)


def _clock(client: Client) -> Check:
    try:
        skew = client.call(_skew(client))
    except (StokerError, KeyError, ValueError):
        return Check(name="clock", status="warn", found="the server's answer has no date")
    seconds = abs(skew.total_seconds())
    if abs(skew) > SKEW:
        return Check(
            name="clock",
            status="warn",
            found=f"{seconds:.0f} s {'ahead of' if skew > timedelta() else 'behind'} the server's",
            remedy="Set the clocks (NTP); leases do not depend on them, times in logs do.",
        )
    return Check(name="clock", status="ok", found="agrees with the server's within a few seconds")


def _metrics(client: Client) -> str:
    try:
        text = client.call(client.api.wire.call("GET", "/metrics", answer=bytes)).decode()
    except Forbidden:
        return "metrics are on, for tokens with the scope metrics"
    except StokerError as error:
        return "metrics are off (--metrics token)" if error.code == "metrics_off" else f"no metrics: {error.message}"
    return f"metrics are on, {sum(not line.startswith('#') for line in text.splitlines())} samples"


def _dialects(client: Client) -> Iterator[Check]:
    """Which other protocols the server speaks; nothing where it speaks none, or is too old to say."""
    try:
        spoken = client.call(_about(client))["dialects"]
    except (StokerError, KeyError, ValueError):
        return
    if spoken:
        yield Check(name="dialects", status="ok", found=f"the server speaks {', '.join(spoken)} too")


async def _about(client: Client) -> Any:
    async with client.api.wire.open("GET", "/", headers={"Accept": "application/json"}) as response:
        return await response.json()


def _tracing() -> str:
    have, _ = _versions(("opentelemetry-sdk",))
    return f"{have[0]} is installed here, for traces" if have else "no OpenTelemetry SDK is installed here"


async def _skew(client: Client) -> timedelta:
    async with client.api.wire.open("GET", "/healthz") as response:
        return terminal.now() - parsedate_to_datetime(response.headers["Date"])


def _failed(name: str, error: StokerError) -> Check:
    return Check(name=name, status="fail", found=error.message, remedy=error.remedy)
