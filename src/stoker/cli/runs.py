"""`stoker runs`: list, show, result, logs, tasks, cancel, retry, manifests; of live runs publish, fire, outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from stoker.cli import exits, live, manifests, numbers, terminal
from stoker.cli.bulk import bulk, one_of
from stoker.cli.ending import end, failed
from stoker.cli.failure import Usage, lines
from stoker.cli.listing import state_of, table_of, tags_of, took
from stoker.cli.logs import logs
from stoker.cli.options import HERE, Where
from stoker.cli.reach import Reached, listed, reached
from stoker.cli.retrying import told
from stoker.core.filter import term
from stoker.storage.postgres import address

if TYPE_CHECKING:
    from stoker.core.views import ForkedFrom, RunView

TaskStateName = Literal["READY", "LEASED", "SUCCEEDED", "FAILED", "PRUNED", "CANCELLED", "SKIPPED"]

app = App(
    name="runs",
    help="Runs: list, show, logs, tasks, waits, result, cancel, retry; manifest, verify, diff; export, import; "
    "publish, fire, outputs.",
    version_flags=[],
    help_epilogue="",
)
app.command("stoker.cli.archives:export", name="export", help="Write a run that has ended into a file.")
app.command("stoker.cli.archives:bring", name="import", help="Bring a run in that was exported.")

All = Annotated[bool, Parameter(negative=(), show_default=False, help="Without a filter: every run.")]
DryRun = Annotated[bool, Parameter(negative=(), show_default=False, help="Only say what would be done.")]
Yes = Annotated[bool, Parameter(name=("--yes", "-y"), negative=(), show_default=False, help="Do not ask.")]

STOPPED_S = 2.0  # what a cancel of a run without leases needs at most


@app.command(name="list")
def list_(
    *filter: str,  # noqa: A002  what users read in the help
    state: Literal["RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"] | None = None,
    graph: str | None = None,
    limit: int = 20,
    after: str | None = None,
    where: Where = HERE,
) -> int:
    """List runs, newest first: those that all terms of the filter hold for.

    The shell keeps its hands off terms in quotes: stoker runs list 'created>2d' graph=nightly

    Parameters
    ----------
    filter: str
        Terms like state=FAILED,CANCELLED graph=nightly 'version>=3' tag.team=blue 'created>2d' (less than 2 days ago)
        'created<2026-11-01T00:00Z' 'ended>1h' 'priority>=7' id=12,13 key=abc stopping=yes; with != for what is not.
    state: str
        The same as state=…
    graph: str
        The same as graph=…
    limit: int
        How many.
    after: str
        Where the last page ended, as it said.
    """
    with reached(where) as here:
        api = here.client.api
        page = listed(here, api.runs(chosen(filter, state=state, graph=graph), limit=limit, after=after))
    if where.output == "json":
        terminal.document(page)
        return exits.OK
    if not page.items:
        terms = chosen(filter, state=state, graph=graph)
        namespace = f"in the namespace {here.settings.namespace!r}"
        terminal.note(f"no runs{' with ' + terms if terms else ''} {namespace} {_in(here)}")
        return exits.OK
    terminal.say(table_of(page.items))
    if page.after:
        terminal.note(f"more: --after {page.after}")
    return exits.OK


@app.command
def get(
    id: str,  # noqa: A002
    /,
    *,
    wait: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    where: Where = HERE,
) -> int:
    """Show a run: its state, its nodes, why it failed.

    With --wait, once it has ended; the exit code is then that of `stoker run`: 0, 1 failed, 3 cancelled.

    Parameters
    ----------
    id: str
        The run, such as 12.
    wait: bool
        Wait for its end.
    """
    from stoker.cli import run as running

    number = numbers.id_of(id)
    with reached(where) as here:
        if wait:
            view = running.wait(here, number, None, running.LONG_S)
        else:
            view = here.client.call(here.client.api.run(number))
    if where.output == "json":
        terminal.document(view)
    else:
        _show(view)
    return exits.OF_STATE[view.state] if wait else exits.OK


@app.command
def result(
    id: str,  # noqa: A002
    /,
    *,
    wait: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    where: Where = HERE,
) -> int:
    """Print the result of a run as JSON, or why there is none; the exit codes are those of `stoker run`.

    Parameters
    ----------
    id: str
        The run, such as 12.
    wait: bool
        Wait for its end.
    """
    from stoker.cli import run as running

    number = numbers.id_of(id)
    with reached(where) as here:
        wait_s = None if wait else 0.0
        view = running.wait(here, number, wait_s, running.LONG_S)
        return end(here.client, view, where)


@app.command
def cancel(
    *which: str,
    all: All = False,  # noqa: A002  its flag
    dry_run: DryRun = False,
    yes: Yes = False,
    where: Where = HERE,
) -> int:
    """Cancel a run, or all that a filter asks for: their tasks are told, and what has not begun never does.

    Several are shown and asked for first. It can be interrupted and repeated: what is stopping already is left out.

    Parameters
    ----------
    which: str
        The run, such as 12; several; or a filter as of `stoker runs list`, such as graph=nightly 'created>1d'.
    """
    number = one_of(which)
    if number is None or dry_run:
        return bulk("cancel", which, where, all_=all, dry_run=dry_run, yes=yes)
    with reached(where) as here:
        api, call = here.client.api, here.client.call
        view = call(api.cancel(number))
        if view.state == "RUNNING":
            view = call(api.run(number, STOPPED_S))
    if where.output == "json":
        terminal.document(view)
    else:
        terminal.say(f"run {number} is {state_of(view)}")
    return exits.OK


@app.command
def retry(
    *which: str,
    all: All = False,  # noqa: A002  its flag
    dry_run: DryRun = False,
    yes: Yes = False,
    rerun_below: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    where: Where = HERE,
) -> int:
    """Make the failed and cancelled tasks of a run, or of all that a filter asks for, READY again.

    What succeeded is kept.

    Several are shown and asked for first. It can be interrupted and repeated: what runs again is left out.

    Parameters
    ----------
    which: str
        The run, such as 12; several; or a filter as of `stoker runs list`, such as state=FAILED tag.team=blue.
    rerun_below: bool
        Of one run: run joins again that fired without them, and all below those.
    """
    number = one_of(which)
    if number is None or dry_run:
        if rerun_below:
            raise Usage(
                "--rerun-below goes with one run, not with a filter", place="--rerun-below", remedy="Name one run."
            )
        return bulk("retry", which, where, all_=all, dry_run=dry_run, yes=yes)
    with reached(where) as here:
        answer = here.client.call(here.client.api.retry(number, rerun_below=rerun_below))
    return told(f"run {number}", answer, here, where)


@app.command
def tasks(
    id: str,  # noqa: A002
    /,
    *filter: str,  # noqa: A002  what users read in the help
    state: TaskStateName | None = None,
    node: str | None = None,
    past: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    limit: int = 100,
    after: str | None = None,
    where: Where = HERE,
) -> int:
    """List the tasks of a run, by node and branch: those that all terms of the filter hold for.

    Parameters
    ----------
    id: str
        The run, such as 12.
    filter: str
        Terms like state=FAILED,CANCELLED node=parse kind=parse code=timeout 'attempt>1' 'losses>=1' 'created>2d' id=34;
        with != for what is not.
    state: str
        The same as state=…
    node: str
        The same as node=…
    past: bool
        Those that a re-run has replaced, instead of those that stand now.
    limit: int
        How many.
    after: str
        Where the last page ended, as it said.
    """
    number = numbers.id_of(id)
    with reached(where) as here:
        terms = " ".join(filter)
        asked = here.client.api.tasks(number, terms, state=state, node=node, past=past, limit=limit, after=after)
        page = listed(here, asked)
    if where.output == "json":
        terminal.document(page)
        return exits.OK
    if not page.items:
        asked_for = [*filter, *([f"state={state}"] if state else []), *([f"node={node}"] if node else [])]
        which = f" with {' '.join(asked_for)}" if asked_for else ""
        terminal.note(f"run {number} has no {'replaced ' if past else ''}tasks{which}")
        return exits.OK
    rows = [
        [str(task.id), task.node, task.branch, task.state, str(task.attempt), str(task.generation), task.code]
        for task in page.items
    ]
    terminal.table(["TASK", "NODE", "BRANCH", "STATE", "ATTEMPT", "GENERATION", "CODE"], rows, grow="BRANCH")
    if page.after:
        terminal.note(f"more: --after {page.after}")
    return exits.OK


@app.command
def waits(id: str | None = None, /, *, limit: int = 20, after: str | None = None, where: Where = HERE) -> int:  # noqa: A002
    """List the waits that are to be settled, oldest first.

    Parameters
    ----------
    id: str
        Only those of this run, such as 12.
    limit: int
        How many.
    after: str
        Where the last page ended, as it said.
    """
    number = None if id is None else numbers.id_of(id)
    with reached(where) as here:
        page = listed(here, here.client.api.waits(run=number, limit=limit, after=after))
    if where.output == "json":
        terminal.document(page)
        return exits.OK
    if not page.items:
        terminal.note("nothing waits to be settled")
        return exits.OK
    rows = [
        [
            str(task.id),
            str(task.run),
            f"{task.branch}/{task.node}" if task.branch else task.node,
            terminal.ago(task.created_at),
            f"{task.expires_at:%Y-%m-%d %H:%M} UTC" if task.expires_at else "never",
        ]
        for task in page.items
    ]
    terminal.table(["TASK", "RUN", "WAIT", "SINCE", "EXPIRES"], rows, grow="WAIT")
    if page.after:
        terminal.note(f"more: --after {page.after}")
    return exits.OK


def chosen(terms: Sequence[str], **also: str | None) -> str:
    """The filter that arguments and options make together."""
    return " ".join([*terms, *(term(field, value) for field, value in also.items() if value is not None)])


for _command in (logs, manifests.manifest, manifests.verify, manifests.diff, live.publish, live.fire, live.outputs):
    app.command(_command)


def _show(view: RunView) -> None:
    from stoker.cli.watch import counts

    pairs = [
        ("run", str(view.id)),
        ("graph", f"{view.graph} v{view.version}"),
        *([("schedule", _due(view))] if view.scheduled_at else []),
        *([("fork of", _origin(view.fork))] if view.fork else []),
        *([("imported", view.imported)] if view.imported else []),
        ("state", state_of(view)),
        ("started", f"{view.created_at:%Y-%m-%d %H:%M:%S} UTC, {terminal.ago(view.created_at)}"),
        ("took", took(view)),
    ]
    pairs += [("token", str(view.token))] if view.token else []
    pairs += [("idempotency key", view.idempotency_key)] if view.idempotency_key else []
    pairs += [("trace", view.trace)] if view.trace else []
    pairs += [("tags", tags_of(view))] if view.tags else []
    pairs += [("priority", str(view.priority))] if view.priority != 5 else []
    pairs += [("weight", str(view.weight))] if view.weight != 1 else []
    terminal.fields(pairs)
    if view.live:
        terminal.say("")
        live.show(view.live)
    elif view.nodes:
        terminal.say("")
        rows = [[node.node, counts(node) or "not reached"] for node in view.nodes]
        terminal.table(["NODE", "TASKS"], rows, grow="TASKS")
    if view.causes:
        terminal.say("")
        terminal.say("\n".join(lines(failed(view))).removeprefix("error: "))


def _in(here: Reached) -> str:
    if here.embedded is not None:
        url = here.settings.database_url
        folder = f"data folder {terminal.home(here.settings.data)}"
        there = folder if url is None else f"database {address.parse(url).shown}"
        return f"in the {there} (no server is configured or alive here)"
    return f"on {here.client.api.wire.url}"


def _due(view: RunView) -> str:
    return f"{view.schedule or 'a deleted one'}, due {view.scheduled_at:%Y-%m-%d %H:%M:%S} UTC"


def _origin(fork: ForkedFrom) -> str:
    return f"run {fork.run} from {fork.node}{f' at {fork.branch}' if fork.branch else ''}"
