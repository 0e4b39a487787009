"""`stoker explain`: one causal answer to why a run or a task stands where it stands."""

from __future__ import annotations

from stoker.cli import exits, numbers, terminal
from stoker.cli.options import HERE, Where
from stoker.cli.reach import reached


def explain(id: str, /, *, where: Where = HERE) -> int:  # noqa: A002
    """Say why a run or task stands where it stands.

    Parameters
    ----------
    id: str
        12 or run:12 for a run, task:34 for a task.
    """
    noun, number = numbers.subject_of(id)
    with reached(where) as here:
        api = here.client.api
        found = here.client.call(api.explain_run(number) if noun == "run" else api.explain_task(number))
    if where.output == "json":
        terminal.document(found)
        return exits.OK
    terminal.say(f"{found.subject} is {found.state}")
    for because in found.because:
        terminal.say("  because " + because.replace("\n", "\n    "))
    if found.remedy:
        terminal.say(f"  remedy: {found.remedy}")
    return exits.OK
