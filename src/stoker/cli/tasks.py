"""`stoker tasks`: retry one, cancel one; settle a wait, look at what it shows."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from stoker.cli import exits, numbers, terminal
from stoker.cli.failure import Usage
from stoker.cli.options import HERE, Where
from stoker.cli.reach import reached
from stoker.cli.retrying import told

app = App(
    name="tasks",
    help="Tasks: retry or cancel one, settle a wait, see its input. Those of a run: `stoker runs tasks ID`.",
    version_flags=[],
    help_epilogue="",
)


@app.command
def retry(
    id: str,  # noqa: A002
    /,
    *,
    rerun_below: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    where: Where = HERE,
) -> int:
    """Make one task READY again that FAILED, or was pruned or cancelled.

    Parameters
    ----------
    id: str
        The task, such as 34.
    rerun_below: bool
        Run joins again that fired without it, and all below them.
    """
    number = numbers.id_of(id, "task")
    with reached(where) as here:
        answer = here.client.call(here.client.api.retry_task(number, rerun_below=rerun_below))
    return told(f"task {number}", answer, here, where)


@app.command
def cancel(id: str, /, *, where: Where = HERE) -> int:  # noqa: A002
    """Cancel one task: what waits for it takes it as failed, and the run goes on.

    Parameters
    ----------
    id: str
        The task, such as 34.
    """
    number = numbers.id_of(id, "task")
    with reached(where) as here:
        view = here.client.cancel_task(number)
    if where.output == "json":
        terminal.document(view)
    else:
        runs = ", and its runner is told to stop" if view.state == "LEASED" else ""
        terminal.say(f"task {number} of run {view.run} is {view.state}{runs}")
    return exits.OK


@app.command
def settle(
    id: str,  # noqa: A002
    /,
    *,
    value: str | None = None,
    fail: str | None = None,
    where: Where = HERE,
) -> int:
    """Settle a wait with a value, or with a failure.

    Parameters
    ----------
    id: str
        The task, such as 34; `stoker runs waits` lists what waits.
    value: str
        What it is settled with, as JSON.
    fail: str
        Why it fails instead.
    """
    import msgspec

    from stoker.core.views import SettleRequest

    number = numbers.id_of(id, "task")
    if (value is None) == (fail is None):
        raise Usage(
            "a wait is settled with one value or with one failure",
            place="--value",
            remedy="Pass --value JSON or --fail TEXT.",
        )
    request = SettleRequest(fail=fail) if value is None else SettleRequest(value=msgspec.Raw(_json(value)))
    with reached(where) as here:
        view = here.client.call(here.client.api.settle(number, request))
    if where.output == "json":
        terminal.document(view)
    else:
        terminal.say(f"task {number} ({view.node}) is {view.state}")
    return exits.OK


@app.command(name="input")
def input_(id: str, /, *, attempt: int | None = None, where: Where = HERE) -> int:  # noqa: A002
    """Print what a task was given, as JSON; of a wait, what it shows to whoever settles it.

    Parameters
    ----------
    id: str
        The task, such as 34.
    attempt: int | None
        One of its attempts; else the newest.
    """
    number = numbers.id_of(id, "task")
    with reached(where) as here:
        terminal.say(here.client.call(here.client.api.task_input(number, attempt)).decode())
    return exits.OK


@app.command
def items(id: str, /, *, where: Where = HERE) -> int:  # noqa: A002
    """Print what a task settled with: a JSON list of its items.

    Parameters
    ----------
    id: str
        The task, such as 34.
    """
    number = numbers.id_of(id, "task")
    with reached(where) as here:
        terminal.say(here.client.call(here.client.api.task_items(number)).decode())
    return exits.OK


def _json(text: str) -> bytes:
    import msgspec

    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise Usage(
            f"--value {text!r} is not JSON: {error}", place="--value", remedy="Quote a text twice: '\"yes\"'."
        ) from None
    return text.encode()
