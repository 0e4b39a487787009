"""What a verb for many runs does with each: whether it applies, and if not, why. Values in, values out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from stoker.core.filter import Term
from stoker.core.model import Run
from stoker.core.states import RunState

BulkVerb = Literal["cancel", "retry"]
_MEANT: dict[BulkVerb, dict[str, tuple[str, ...]]] = {
    "cancel": {"state": ("RUNNING",), "stopping": ("no",)},
    "retry": {"state": ("FAILED", "CANCELLED")},
}


class Unfit(NamedTuple):
    """Why a verb does not apply to a run."""

    code: str
    message: str


def meant(verb: BulkVerb, terms: Sequence[Term]) -> list[Term]:
    """The filter, and those terms that go without saying: what nothing is said about is what the verb applies to."""
    said = {term.field for term in terms}
    return [*terms, *(Term(field, "=", values) for field, values in _MEANT[verb].items() if field not in said)]


def unfit(verb: BulkVerb, run: Run) -> Unfit | None:
    match verb, run.state:
        case "cancel", RunState.RUNNING:
            return Unfit("stopping", "it is stopping already") if run.stopping else None
        case "cancel", _:
            return Unfit("ended", f"it has ended {run.state.name}")
        case "retry", RunState.RUNNING:
            return Unfit("still_running", "it is still running")
        case "retry", RunState.SUCCEEDED:
            return Unfit("nothing_to_retry", "it SUCCEEDED")
        case _:
            return None
