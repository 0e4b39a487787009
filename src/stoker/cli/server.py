"""`stoker server start`: checks the settings, then becomes the supervisor, without this command line's imports."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from stoker.cli import exits, terminal
from stoker.cli.options import TEXT, Options
from stoker.config import as_environment, load, new_secret_key, new_secret_key_file, secret_keys_in
from stoker.storage.postgres import address

app = App(name="server", help="The server that holds graphs, runs and tasks.", version_flags=[], help_epilogue="")
app.command("stoker.cli.collecting:gc", name="gc", help="Delete artifacts that nothing names.")
app.command("stoker.cli.collecting:usage", name="usage", help="Show the room that each namespace takes.")


@app.command
def start(
    *,
    host: str | None = None,
    port: int | None = None,
    data: Path | None = None,
    artifacts: Path | None = None,
    database_url: str | None = None,
    keep: str | None = None,
    token: str | None = None,
    secret_key_file: Path | None = None,
    dialects: str | None = None,
    heat_auth: str | None = None,
    config: Path | None = None,
    path_prefix: str | None = None,
    metrics: Literal["off", "token", "public"] | None = None,
    log_format: Literal["text", "json"] | None = None,
    access_log: Annotated[bool | None, Parameter(negative=(), show_default=False)] = None,
    audit_days: int | None = None,
    audit_triggers: Annotated[bool | None, Parameter(negative=(), show_default=False)] = None,
    insecure: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
) -> int:
    """Serve until SIGTERM or Ctrl-C. SIGHUP restarts the serving process and refuses no connection.

    Every flag may stand in the environment too (STOKER_PORT), or in a TOML file (`port = 5220`).

    Parameters
    ----------
    host: str
        The address to listen on; 127.0.0.1 unless given.
    port: int
        5220 unless given; 0: any free one.
    data: Path
        The data folder: database, artifacts, token. ~/.stoker unless given.
    artifacts: Path
        The folder of artifacts; one in the data folder unless given. Servers on one database share it.
    database_url: str
        A PostgreSQL database, postgresql://user:password@host/name; unless given, SQLite in the data folder. In the
        environment a password is hidden from other users, as a flag it is not.
    keep: str
        What is kept of runs that have ended, where a namespace has no rule of its own, as age=30d,count=10000; unless
        given, everything.
    token: str
        The server's own token; unless given, one is made and kept in the data folder. In the environment it is hidden
        from other users, as a flag it is not.
    secret_key_file: Path
        The keys of secrets, one a line, the first of which writes; unless given, secret.key in the data folder if it is
        there. A key may stand in the environment too, as STOKER_SECRET_KEY.
    dialects: str
        Other protocols to speak, with commas: exosphere, heat.
    heat_auth: str
        Who needs a token to speak HEAT: Strict, ClusterOnly (internal callers need none) or Local (nobody, on loopback
        only); unless given, its own configuration says, else Strict.
    config: Path
        A TOML file of settings; unless given, stoker.toml in this folder if there is one.
    path_prefix: str
        What a proxy in front of the server puts before every path.
    metrics: str
        Who may read /metrics: off, nobody, and nothing is counted, unless given; token: with the scope metrics; public.
    log_format: str
        Lines for people unless given; json: one object a line.
    access_log: bool
        Log a line for each request.
    audit_days: int
        How long `stoker audit` reaches back; 365 unless given; 0: for ever.
    audit_triggers: bool
        Calls that start runs stand there too; unless given, only their runs tell whose token it was.
    insecure: bool
        Without tokens; on loopback only.
    """
    flags = {
        "host": host,
        "port": port,
        "data": data,
        "artifacts": artifacts,
        "database_url": database_url,
        "token": token,
        "secret_key_file": secret_key_file,
        "keep": keep,
        "dialects": dialects,
        "heat.auth_mode": heat_auth,
        "path_prefix": path_prefix,
        "metrics": metrics,
        "log_format": log_format,
        "access_log": access_log,
        "audit_days": audit_days,
        "audit_triggers": audit_triggers,
    }
    settings = load(flags, config=config)
    if settings.secret_key_file is not None:
        secret_keys_in(settings.secret_key_file)  # a mistake shows here, before anything is served
    if settings.keep:
        from stoker.core.keep_views import keep_spec

        keep_spec(settings.keep)
    database = address.parse(settings.database_url).shown if settings.database_url is not None else None
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STOKER_")}
    environment |= as_environment(replace(settings, url=None))
    return _become([json.dumps({"insecure": insecure, "database": database})], environment)


@app.command
def key(*, file: Path | None = None, options: Options = TEXT) -> int:
    """Make a key for secrets: 32 random bytes in base64.

    Parameters
    ----------
    file: Path
        A new file for it, which only its owner can read; else it is printed.
    """
    if file is None:
        made = new_secret_key()
        if options.output == "json":
            terminal.document({"key": made})
        else:
            terminal.note("STOKER_SECRET_KEY, or a line of the file that STOKER_SECRET_KEY_FILE names; keep a copy:")
            terminal.say(made)
        return exits.OK
    new_secret_key_file(file)
    if options.output == "json":
        terminal.document({"file": str(file.absolute())})
    else:
        terminal.say(f"made {file}, readable by you alone")
        terminal.note(f"start servers with STOKER_SECRET_KEY_FILE={file.absolute()}")
        terminal.note("keep a copy elsewhere: without it, secrets are lost")
    return exits.OK


def _become(arguments: list[str], environment: dict[str, str]) -> int:
    """Replace this process: the supervisor lives long and shall be small."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, "-m", "stoker.cli.supervising", *arguments], environment)  # noqa: S606
