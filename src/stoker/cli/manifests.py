"""`stoker runs manifest`, `verify` and `diff`: what a run was made of, whether it still fits, where two part."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from stoker.cli import exits, numbers, terminal
from stoker.cli.failure import Usage
from stoker.cli.options import HERE, Where
from stoker.cli.reach import reached
from stoker.core.words import counted

if TYPE_CHECKING:
    from stoker.core.manifest_views import DiffAnswer, Parting, Side

_WHY = {
    "code": "other code",
    "inputs": "other inputs of the run",
    "parents": "what came before is other",
    "failure": "one of them failed",
    "nondeterminism": "the same code was given the same, and gave something else",
}


def manifest(id: str, /, *, where: Where = HERE) -> int:  # noqa: A002
    """Print the manifest of a run that has ended, to be kept: lines of JSON in a chain, one for each task.

    Parameters
    ----------
    id: str
        The run, such as 12.
    """
    number = numbers.id_of(id)
    with reached(where) as here:
        sys.stdout.write(here.client.manifest(number).decode())
    return exits.OK


def verify(id: str, file: Path | None = None, /, *, where: Where = HERE) -> int:  # noqa: A002
    """Compute all of a run anew from its rows and files, and name the first thing that does not fit.

    Exit codes: 0 all fits, 1 something does not.

    Parameters
    ----------
    id: str
        The run, such as 12.
    file: Path | None
        A manifest that was kept of it, with which everything is compared too.
    """
    number = numbers.id_of(id)
    kept = None if file is None else _read(file)
    with reached(where) as here:
        answer = here.client.verify(number, kept)
    if where.output == "json":
        terminal.document(answer)
    elif answer.fits:
        files = f", {counted(answer.files, 'file')}" if answer.files else ""
        terminal.say(f"run {number} fits: {counted(answer.tasks, 'task')}, {counted(answer.items, 'item')}{files}")
        terminal.say(f"manifest {answer.hash}")
    else:
        terminal.say(f"run {number} does not fit")
        terminal.say(f"  {answer.place}: {answer.fault}")
    return exits.OK if answer.fits else exits.FAILED


def diff(id: str, other: str, /, *, where: Where = HERE) -> int:  # noqa: A002
    """Say where two runs part, and why: the first difference that none before it explains.

    Exit codes: 0 they are the same, 1 they part.

    Parameters
    ----------
    id: str
        A run, such as 12.
    other: str
        The other one.
    """
    one, two = numbers.id_of(id), numbers.id_of(other)
    with reached(where) as here:
        answer = here.client.diff(one, two)
    if where.output == "json":
        terminal.document(answer)
    else:
        _tell(answer)
    return exits.OK if answer.same else exits.FAILED


def _tell(answer: DiffAnswer) -> None:
    if answer.same:
        terminal.say(f"runs {answer.left} and {answer.right} are the same in {counted(answer.tasks, 'task')}")
        return
    if not answer.graphs:
        terminal.say("they are of other graphs, or versions of one")
    if answer.inputs:
        terminal.say(f"other inputs: {', '.join(answer.inputs)}")
    if answer.first is None:
        terminal.say(f"but all {counted(answer.tasks, 'task')} ended the same")
        return
    _first(answer.first)
    rest = ", ".join(f"{count} ({_WHY[why]})" for why, count in answer.parted.items())
    terminal.say(f"of {counted(answer.tasks, 'task')}, these part: {rest}")


def _first(parting: Parting) -> None:
    at = f" at {parting.branch}" if parting.branch else ""
    terminal.say(f"they part at {parting.node}{at}: {_WHY[parting.why]}")
    for side in (parting.left, parting.right):
        terminal.say(f"  {_side(side)}")


def _side(side: Side | None) -> str:
    if side is None:
        return "no task"
    said = f", {side.code}: {side.message}" if side.code or side.message else ""
    gave = f", gave {' '.join(item[:12] for item in side.items)}" if side.items else ""
    given = f", was given {side.input[:12]}" if side.input else ""
    return f"task {side.task}: {side.state}{said}{given}{gave}"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Usage(
            f"the manifest {path} cannot be read: {error.strerror}",
            place=str(path),
            remedy="Name the file that `stoker runs manifest` was written to.",
        ) from None
