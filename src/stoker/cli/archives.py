"""`stoker runs export` and `stoker runs import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from stoker.cli import exits, numbers, terminal
from stoker.cli.options import HERE, Where
from stoker.cli.reach import reached
from stoker.cli.sizes import sized


def export(
    id: str,  # noqa: A002
    /,
    *,
    to: Annotated[Path | None, Parameter(name=("--to", "-f"))] = None,
    where: Where = HERE,
) -> int:
    """Write a run that has ended into one file, with its child runs and all bytes that it names.

    Parameters
    ----------
    id: str
        The run, such as 12.
    to: Path
        The file; run-12.stoker unless given.
    """
    number = numbers.id_of(id)
    target = (to or Path(f"run-{number}.stoker")).expanduser().absolute()
    with reached(where) as here:
        here.client.export_run(number, target)
    size = target.stat().st_size
    if where.output == "json":
        terminal.document({"run": number, "file": str(target), "bytes": size})
    else:
        terminal.say(f"{target}: run {number}, {sized(size)}")
    return exits.OK


def bring(source: Path, /, *, where: Where = HERE) -> int:
    """Bring a run in that was exported, here or elsewhere. It has a new id, and is only looked at.

    Parameters
    ----------
    source: Path
        The file.
    """
    with reached(where) as here:
        run = here.client.import_run(source.expanduser()).id
    if where.output == "json":
        terminal.document({"id": run})
    else:
        terminal.say(f"run {run} is there to be looked at: stoker runs get {run}")
    return exits.OK
