"""`stoker retention`: show, set, clear."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from stoker.cli import exits, terminal
from stoker.cli.bulk import agreed
from stoker.cli.failure import Usage
from stoker.cli.options import HERE, Where
from stoker.cli.reach import reached
from stoker.core.words import counted

if TYPE_CHECKING:
    from stoker.core.keep_views import KeepSpec, KeepView

app = App(
    name="retention",
    help="What is kept of runs that have ended: show, set, clear.",
    version_flags=[],
    help_epilogue="",
)


@app.command
def show(*, where: Where = HERE) -> int:
    """Show what the namespace keeps of runs that have ended, and how many are beyond it."""
    with reached(where) as here:
        view = here.client.retention.show()
    return _shown(view, where, "are deleted bit by bit")


@app.command(name="set")
def set_(
    *,
    age: str | None = None,
    count: int | None = None,
    failed_age: str | None = None,
    everything: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    dry_run: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    yes: Annotated[bool, Parameter(name=("--yes", "-y"), negative=(), show_default=False)] = False,
    where: Where = HERE,
) -> int:
    """Keep runs that have ended by this rule from now on. What is beyond it is deleted, with all that belongs to it.

    stoker retention set --age 30d --count 10000 --failed-age 90d

    Parameters
    ----------
    age: str
        For how long after their end, such as 30d or 12h.
    count: int
        How many, the newest.
    failed_age: str
        For how long those that FAILED or were CANCELLED; then the others do not apply to these.
    everything: bool
        Instead: keep everything, whatever the server's settings say.
    dry_run: bool
        Only say how many runs are beyond it.
    yes: bool
        Do not ask.
    """
    if everything == any(value is not None for value in (age, count, failed_age)):
        raise Usage(
            "what to keep is not said"
            if not everything
            else "everything is kept, or by a rule: it is one or the other",
            remedy="Give --age, --count or --failed-age, or --everything alone.",
        )
    with reached(where) as here:
        put = partial(here.client.retention.set, age=age, count=count, failed_age=failed_age)
        would = put(dry_run=True)
        if dry_run:
            return _shown(would, where, "would be deleted")
        if would.beyond and not yes and not agreed("delete", would.beyond):
            terminal.note("nothing was changed")
            return exits.OK
        view = put()
    return _shown(view, where, "are deleted bit by bit")


@app.command
def clear(*, where: Where = HERE) -> int:
    """Keep by what the server's settings say; unless they say something, everything."""
    with reached(where) as here:
        view = here.client.retention.clear()
    return _shown(view, where, "are deleted bit by bit")


def _shown(view: KeepView, where: Where, what: str) -> int:
    if where.output == "json":
        terminal.document(view)
        return exits.OK
    terminal.fields([("keep", said(view.keep)), ("by", _by(view))])
    if view.beyond:
        terminal.say(f"{counted(view.beyond, 'run')} beyond that {what}")
    return exits.OK


def said(keep: KeepSpec) -> str:
    """A rule in words."""
    parts = []
    if keep.age is not None:
        parts.append(f"for {keep.age} after the end")
    if keep.count is not None:
        parts.append(f"the newest {keep.count}")
    if keep.failed_age is not None:
        parts.append(f"what failed or was cancelled for {keep.failed_age}")
    return ", ".join(parts) or "everything"


def _by(view: KeepView) -> str:
    return {"namespace": "the namespace's own rule", "settings": "the server's settings"}.get(view.source, "default")
