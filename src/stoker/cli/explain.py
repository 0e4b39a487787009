"""`stoker explain`: one causal answer to why a run, a task or a schedule stands where it stands."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from stoker.cli import exits, numbers, terminal
from stoker.cli.options import HERE, Where
from stoker.cli.reach import reached

if TYPE_CHECKING:
    from stoker.core.views import Explanation
    from stoker.runner.api import Api


def explain(id: str, /, *, where: Where = HERE) -> int:  # noqa: A002
    """Say why a run, a task or a schedule stands where it stands.

    Parameters
    ----------
    id: str
        12 or run:12 for a run, task:34 for a task, schedule:nightly for a schedule.
    """
    with reached(where) as here:
        found = here.client.call(_asked(here.client.api, id))
    if where.output == "json":
        terminal.document(found)
        return exits.OK
    terminal.say(f"{found.subject} is {found.state}")
    for because in found.because:
        terminal.say("  because " + because.replace("\n", "\n    "))
    if found.remedy:
        terminal.say(f"  remedy: {found.remedy}")
    return exits.OK


def _asked(api: Api, text: str) -> Coroutine[Any, Any, Explanation]:
    if text.startswith("schedule:"):
        return api.schedules.explain(text.removeprefix("schedule:"))
    noun, number = numbers.subject_of(text)
    return api.explain_run(number) if noun == "run" else api.explain_task(number)
