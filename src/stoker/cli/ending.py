"""How a run ended, for people and for programs: its result, or why there is none."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from stoker.cli import exits, failure, terminal
from stoker.cli.options import Options
from stoker.errors import Conflict, NoResult, RunCancelled, RunError, RunFailed

if TYPE_CHECKING:
    from stoker.core.views import Cause, RunView
    from stoker.runner.client import Client

SHOWN = 3
_WAIT = "Wait on: `stoker runs result {0} --wait`. What it waits for: `stoker explain {0}`."
_LIVE = "It is live, and ends by `stoker runs cancel {0}` alone. What it gives: `stoker runs outputs {0}`."


def end(client: Client, view: RunView, options: Options) -> int:
    """Print the result, or what stands in its place; the exit code."""
    document, error, code = _outcome(client, view)
    if options.output == "json":
        terminal.document(_for_programs(view, document, error))
    elif error is not None:
        print("\n".join(failure.lines(error)), file=sys.stderr)
    elif document is not None:
        terminal.document(document)
    return code


def _outcome(client: Client, view: RunView) -> tuple[bytes | None, RunError | None, int]:
    match view.state:
        case "SUCCEEDED":
            try:
                return client.call(client.api.result(view.id)), None, exits.OK
            except Conflict as error:
                if error.code != NoResult.code:
                    raise
                found = NoResult(error.message, place=f"run {view.id}", remedy=f"See `stoker explain {view.id}`.")
                return None, found, exits.NO_RESULT
        case "FAILED":
            return None, failed(view), exits.FAILED
        case "CANCELLED":
            remedy = f"`stoker runs retry {view.id}` goes on where it stopped."
            return None, RunCancelled(f"run {view.id} of {view.graph!r} was cancelled", remedy=remedy), exits.CANCELLED
        case "RUNNING":
            return None, _still(view), exits.STILL_RUNNING


def failed(view: RunView) -> RunFailed:
    """Why the run failed: the first causes, with their remote tracebacks."""
    shown = [_cause(cause) for cause in view.causes[:SHOWN]]
    more = len(view.causes) - len(shown)
    rest = [f"and {more} more; see `stoker explain {view.id}`"] if more > 0 else []
    remedy = f"Mend the cause, then `stoker runs retry {view.id}`. What tasks printed: `stoker runs logs {view.id}`."
    if view.causes and view.causes[0].traceback:
        remedy += f" In a debugger, here: `stoker replay {view.causes[0].task} FILE --pdb`."
    return RunFailed("\n\n".join([f"run {view.id} of {view.graph!r} failed", *shown, *rest]), remedy=remedy)


def _cause(cause: Cause) -> str:
    at = f" at {cause.branch}" if cause.branch else ""
    what = f"{cause.type}: {cause.message}" if cause.type else f"{cause.code}: {cause.message}"
    head = f"{cause.node}{at} (task {cause.task}, attempt {cause.attempt}): {what}"
    lines = [head, *(f"  {line}" for line in cause.traceback.rstrip().splitlines())]
    return "\n".join(f"  {line}" for line in lines)


def _still(view: RunView) -> RunError:
    return RunError(
        f"run {view.id} of {view.graph!r} is still RUNNING",
        code="still_running",
        remedy=_LIVE.format(view.id) if view.live else _WAIT.format(view.id),
    )


def _for_programs(view: RunView, document: bytes | None, error: RunError | None) -> dict[str, Any]:
    import msgspec

    found: dict[str, Any] = {"run": view.id, "graph": view.graph, "version": view.version, "state": view.state}
    if document is not None:
        found["result"] = msgspec.Raw(document)
    if error is not None:
        found["error"] = {"code": error.code, "message": error.message.split("\n")[0]}
    if view.causes:
        found["causes"] = view.causes
    return found
