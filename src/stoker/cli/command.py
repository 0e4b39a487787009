"""From the arguments to a command and its exit code; every expected error becomes a message."""

from __future__ import annotations

import os
import sys
from typing import Any

from cyclopts import App, CycloptsError

from stoker.cli import exits, failure
from stoker.cli.options import Options
from stoker.errors import StokerError

_COMMANDS = {
    "init": ("stoker.cli.init:init", "Make a starter project: a graph, its test, a README."),
    "run": ("stoker.cli.run:run", "Run a graph of a file and print its result."),
    "dev": ("stoker.cli.dev:dev", "Serve a file here: a server and a runner that reloads when the file changes."),
    "server": ("stoker.cli.server:app", "The server that holds graphs, runs and tasks."),
    "runner": ("stoker.cli.runner:app", "A runner: a process that pulls tasks and runs them."),
    "graphs": ("stoker.cli.graphs:app", "Graphs: list, show, push."),
    "runs": ("stoker.cli.runs:app", "Runs: list, show, logs, tasks, waits, cancel, retry; live: publish, fire."),
    "tasks": ("stoker.cli.tasks:app", "Tasks: retry or cancel one, settle a wait, see its input."),
    "fork": ("stoker.cli.fork:fork", "Start a run in the middle of another one: a node and what is below it run anew."),
    "replay": (
        "stoker.cli.replay:replay",
        "Run a task once more, here, with what it was given; compare what it gives.",
    ),
    "explain": ("stoker.cli.explain:explain", "Say why a run, a task or a schedule stands where it stands."),
    "schedules": ("stoker.cli.schedules:app", "Schedules: create, list, show, pause, resume, run, delete."),
    "retention": ("stoker.cli.retention:app", "What is kept of runs that have ended: show, set, clear."),
    "secrets": ("stoker.cli.secrets:app", "Secrets that nodes declare: set, list, delete, rotate."),
    "tokens": ("stoker.cli.tokens:app", "Tokens of the server: create, list, revoke."),
    "roles": ("stoker.cli.roles:app", "Roles of tokens: list, set, delete."),
    "audit": ("stoker.cli.audit:audit", "Who did what, with which token, from where."),
    "db": ("stoker.cli.db:app", "The database: status, migrate, move, backup, restore."),
    "selftest": (
        "stoker.cli.selftest:selftest",
        "Prove this installation, by killing processes of its own if you like.",
    ),
    "doctor": ("stoker.cli.doctor:doctor", "Check this installation, its data folder and its server."),
}


_EPILOGUE = "Begin with `stoker init demo`. Settings: a flag, else STOKER_* in the environment, else stoker.toml."


def execute(argv: list[str]) -> int:
    """Parse and run. Never raises what a user can cause."""
    options, app = Options(), commands(argv)
    try:
        command, bound, _ = app.parse_args(argv, exit_on_error=False, print_error=False)
        options = bound.arguments.get("where") or bound.arguments.get("options") or options
        code = command(*bound.args, **bound.kwargs)
        sys.stdout.flush()
    except CycloptsError as error:
        return _misunderstood(error, app)
    except StokerError as error:
        return failure.show(error, options)
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter complains at its end
        return exits.BROKEN_PIPE
    return code if isinstance(code, int) else exits.OK


def commands(argv: list[str]) -> App:
    """The tree of commands. Only the module of the one in `argv` is imported: its own help is longer than ours."""
    app = App(
        name="stoker",
        help="A durable runtime for graphs of compute nodes.",
        version=_version,
        help_epilogue=_EPILOGUE,
    )
    for order, (name, (target, summary)) in enumerate(_COMMANDS.items()):
        keywords: dict[str, Any] = {"name": name, "sort_key": order}
        keywords |= {} if argv[:1] == [name] else {"help": summary}
        app.command(target, **keywords)
    return app


def _misunderstood(error: CycloptsError, app: App) -> int:
    from stoker.cli import guesses

    message, remedy = guesses.told(error, app) or (str(error), "")
    return failure.usage(message, list(error.command_chain or ()), remedy)


def _version() -> str:
    from importlib.metadata import version

    return f"stoker {version('stoker')}"
