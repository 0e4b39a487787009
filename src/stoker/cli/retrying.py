"""What a manual retry answers, of a run or of a task, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stoker.cli import exits, terminal
from stoker.cli.options import Options
from stoker.cli.reach import Reached

if TYPE_CHECKING:
    from stoker.core.views import RetryAnswer


def told(what: str, answer: RetryAnswer, here: Reached, options: Options) -> int:
    """Print what was made READY again, and what that means for the joins behind it."""
    if options.output == "json":
        terminal.document(answer)
        return exits.OK
    terminal.say(f"{what}: {_tasks(answer.retried)} to be run again" if answer.retried else f"{what} goes on")
    if answer.rerun:
        terminal.say(f"these joins run again, as generation {answer.generation}: {', '.join(answer.rerun)}")
        terminal.say(f"{_tasks(answer.replaced)} of theirs, and of what is below them, now belong to the past")
    if answer.fired:
        terminal.note(f"these joins had fired already and do not fire again: {', '.join(answer.fired)}")
        terminal.note("  remedy: With --rerun-below, given at the retry, they run again, and all below them.")
    if here.embedded is not None:
        terminal.note("  remedy: No server is alive: `stoker dev FILE` does the work.")
    return exits.OK


def _tasks(count: int) -> str:
    return f"{count} task{'s' if count != 1 else ''}"
