"""`stoker replay TASK FILE`: run a task once more, here, and compare."""

from __future__ import annotations

import sys
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from stoker.cli import exits, load, numbers, terminal
from stoker.cli.options import HERE, Where
from stoker.cli.reach import reached

if TYPE_CHECKING:
    from stoker.runner.replay import Replay


def replay(
    task: str,
    file: Path,
    /,
    *,
    attempt: int | None = None,
    pdb: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    where: Where = HERE,
) -> int:
    """Run a task once more, in this very process, with what it was given then; nothing changes on the server.

    breakpoint() in the code works. A secret comes from this environment: `api-key` from STOKER_REPLAY_SECRET_API_KEY.

    Exit codes: 0 it ended as recorded (or nothing is recorded yet), 1 otherwise, 130 the debugger was left.

    Parameters
    ----------
    task: str
        The task, such as 34; settled or not.
    file: Path
        The Python file with the node.
    attempt: int | None
        One of its attempts; else the newest.
    pdb: bool
        Open a debugger where the code raises.
    """
    number = numbers.id_of(task, "task")
    nodes = load.load(file)
    with reached(where) as here, redirect_stdout(sys.stderr) if where.output == "json" else nullcontext():
        works = [*nodes.nodes, *load.distinct(nodes)]
        found = here.client.replay(number, *works, attempt=attempt, debug=pdb)
    if where.output == "json":
        terminal.document(_document(found))
    else:
        _tell(found)
    return exits.FAILED if found.same is False or (found.same is None and found.raised is not None) else exits.OK


def _tell(found: Replay) -> None:
    if found.raised is not None and found.ended.how == "failed":
        terminal.note(found.traceback or found.ended.error)
    if found.code == "differs":
        terminal.note(f"the code of {found.task.kind!r} here is not the code that the run was pushed with")
    what = f"task {found.task.id} ({found.task.node}), attempt {found.attempt}"
    if found.same is None:
        terminal.say("\n".join(found.ended.lines))
        terminal.note(f"{what} is {found.task.state}: there is no end to compare with")
    elif found.same:
        terminal.say(f"{what}: same, it {_how(found)}")
    else:
        terminal.say(f"{what}: differs")
        terminal.say(found.diff)


def _how(found: Replay) -> str:
    return "was pruned" if found.ended.how == "pruned" else found.ended.how


def _document(found: Replay) -> dict[str, Any]:
    return {
        "task": found.task.id,
        "attempt": found.attempt,
        "same": found.same,
        "code": found.code,
        "ended": _end(found.ended),
        "recorded": None if found.recorded is None else _end(found.recorded),
        "diff": found.diff,
    }


def _end(end: Any) -> dict[str, Any]:
    return {"how": end.how, "items": list(end.items), "error": end.error}
