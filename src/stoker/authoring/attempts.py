"""Options of attempts in the form people write them: a node gives them, or a graph for all of its nodes."""

from __future__ import annotations

from typing import Any

from stoker.authoring.misuse import misuse
from stoker.authoring.retry import duration
from stoker.core import graph
from stoker.core.duration import micros


def attempts(
    *,
    retry: graph.Retry | None = None,
    timeout: graph.Duration | None = None,
    task_timeout: graph.Duration | None = None,
    queue_timeout: graph.Duration | None = None,
    max_losses: int | None = None,
    losses_are_failures: bool | None = None,
) -> dict[str, Any]:
    """Those that are given. Raises Misuse naming the one that is wrong."""
    if retry is not None and not isinstance(retry, graph.Retry):
        raise misuse(f"retry={retry!r} is not a policy.", "Write retry=stoker.Retry(3, base='2s').")
    times = {"timeout": timeout, "task_timeout": task_timeout, "queue_timeout": queue_timeout}
    for name, value in times.items():
        if value is not None:
            _time(name, value)
    if max_losses is not None and (isinstance(max_losses, bool) or not isinstance(max_losses, int) or max_losses < 1):
        raise misuse(f"max_losses is an integer from 1, not {max_losses!r}.")
    given = {"retry": retry, **times, "max_losses": max_losses, "losses_are_failures": losses_are_failures}
    return {name: value for name, value in given.items() if value is not None}


def _time(name: str, value: graph.Duration) -> None:
    if not micros(duration(name, value)):
        raise misuse(f"{name}={value!r}: it is longer than 0.", "Leave it out for no limit.")
