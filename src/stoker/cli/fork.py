"""`stoker fork RUN --from NODE`: a new run that takes over what another one did before a node."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from stoker.cli import exits, inputs, numbers, terminal
from stoker.cli.failure import Usage
from stoker.cli.options import HERE, Where
from stoker.cli.reach import Reached, reached
from stoker.core.words import counted

if TYPE_CHECKING:
    from stoker.core.fork_views import ForkAnswer

_EDIT = """Give {"NODE": item}, or the name of a file with that."""


def fork(
    run: str,
    /,
    *,
    start: Annotated[str, Parameter(name="--from")],
    input: Annotated[list[str] | None, Parameter(name=("--input", "-i"), negative=())] = None,  # noqa: A002  its flag
    edit: str | None = None,
    tag: Annotated[list[str] | None, Parameter(negative=())] = None,
    dry_run: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    yes: Annotated[bool, Parameter(name=("--yes", "-y"), negative=(), show_default=False)] = False,
    where: Where = HERE,
) -> int:
    """Start a run in the middle of one that has ended: a node and what is below it run anew, all else is taken over.

    What would run again is shown and asked for first.

    Parameters
    ----------
    run: str
        The run, such as 12.
    start: str
        The node, such as `train`; one task of it as `train@split[3]`.
    input: list[str] | None
        An input that is otherwise, k=v.
    edit: str | None
        Items that are otherwise, of nodes right before the start: {"NODE": item, "NODE@split[3]": item}, or a file of
        that.
    tag: list[str] | None
        A tag, name=value, besides those of the run.
    dry_run: bool
        Only say what would run again.
    yes: bool
        Do not ask.
    """
    number = numbers.id_of(run)
    node, at, branch = start.partition("@")
    tags = numbers.pairs(tag or [], "--tag")
    edits = _edits(edit)
    with reached(where) as here:
        values = _inputs(here, number, input or [])
        given: dict[str, Any] = {"branch": branch if at else None, "inputs": values, "edits": edits, "tags": tags}
        answer = here.client.fork(number, node, dry_run=True, **given)
        if where.output != "json":
            _tell(answer)
        if not dry_run:
            if not yes and not _asked():
                terminal.note("nothing was done")
                return exits.OK
            answer = here.client.fork(number, node, **given)
    if where.output == "json":
        terminal.document(answer)
    elif answer.run is not None:
        terminal.say(f"run {answer.run} is a fork of run {number}")
    return exits.OK


def _inputs(here: Reached, run: int, given: list[str]) -> dict[str, Any]:
    if not given:
        return {}
    api, call = here.client.api, here.client.call
    view = call(api.run(run))
    spec = call(api.graph(view.graph, view.version)).spec
    assert spec is not None
    return inputs.parse(given, spec.inputs, live=True)  # what is not given stays as it is


def _edits(edit: str | None) -> dict[str, Any]:
    if edit is None:
        return {}
    here = edit.lstrip().startswith("{")
    what = "the value" if here else f"the file {edit}"
    try:
        found = json.loads(edit if here else Path(edit).read_bytes())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise Usage(f"{what} of --edit cannot be read as JSON: {reason}", place="--edit", remedy=_EDIT) from None
    if not isinstance(found, dict) or not found:
        raise Usage(f"{what} of --edit names no node", place="--edit", remedy=_EDIT)
    return found


def _tell(answer: ForkAnswer) -> None:
    start = answer.node if answer.branch is None else f"{answer.node} at {answer.branch}"
    terminal.say(f"run {answer.origin} from {start}: {counted(answer.taken, 'task')} taken over as they were")
    if answer.again:
        terminal.say("these run again, with all that they do to the rest of the world:")
        terminal.table(["NODE", "KIND", "TASKS"], [[each.node, each.kind, str(each.tasks)] for each in answer.again])
    else:
        terminal.say("nothing of what is below had run")
    if answer.unaware:
        names = ", ".join(answer.unaware)
        terminal.note(
            f"these have read what is otherwise too, and are taken over as they were: {names}; "
            "fork from one of them to have it run again"
        )


def _asked() -> bool:
    if not sys.stdin.isatty():
        raise Usage(
            "a fork wants a yes, and nobody is there to be asked",
            remedy="Add --yes to make it, or --dry-run to see what would run again.",
        )
    print("start it? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
