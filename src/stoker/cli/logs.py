"""`stoker runs logs`: what the tasks of a run printed and logged; with `-f` as it comes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from stoker.cli import exits, numbers, terminal
from stoker.cli.options import HERE, Where
from stoker.cli.reach import Reached, reached
from stoker.errors import Unavailable

if TYPE_CHECKING:
    from stoker.core.views import LogPage, LogView

PAGE = 1000
FOLLOW_S = 30.0  # one long-poll
AGAIN_S = 1.0  # until a server that is away is asked again

Key = tuple[int, int, str]  # task, attempt, stream


def logs(
    id: str,  # noqa: A002
    /,
    *,
    follow: Annotated[bool, Parameter(name=("--follow", "-f"), negative=(), show_default=False)] = False,
    node: str | None = None,
    task: str | None = None,
    stream: Literal["stdout", "stderr", "log"] | None = None,
    since: str | None = None,
    timestamps: Annotated[bool, Parameter(name=("--timestamps", "-t"), negative=(), show_default=False)] = False,
    where: Where = HERE,
) -> int:
    """Show what the tasks of a run printed and logged.

    Parameters
    ----------
    id: str
        The run, such as 12.
    follow: bool
        Go on until the run has ended, or the task.
    node: str
        Only the tasks of this node.
    task: str
        Only this task, such as 34.
    stream: str
        Only stdout, stderr, or what went through logging and task.log.
    since: str
        Only what came since: 10m ago, or a time such as 2026-11-01T08:00Z.
    timestamps: bool
        With the time at which the server got each line.
    """
    number = numbers.id_of(id)
    wanted = {"node": node, "task": None if task is None else numbers.id_of(task, "task"), "stream": stream}
    show = _Chunks(follow=follow) if where.output == "json" else _Lines(timestamps=timestamps)
    with reached(where) as here:
        for page in _pages(here, number, FOLLOW_S if follow else 0.0, {**wanted, "since": since}):
            for chunk in page.items:
                show.see(chunk)
    show.end(f"run {number} has no logs{' like that' if any(wanted.values()) or since else ''}")
    return exits.OK


def _pages(here: Reached, run: int, wait_s: float, wanted: dict[str, Any]) -> Iterator[LogPage]:
    after, away, known = 0, False, False
    while True:
        try:
            page = here.client.call(here.client.api.run_logs(run, after=after, limit=PAGE, wait_s=wait_s, **wanted))
        except Unavailable as error:
            if here.embedded is not None or not wait_s or not known:
                raise
            if not away:
                terminal.note(f"{error.message} Asking again until the server is back.")
            away = True
            time.sleep(AGAIN_S)
            continue
        away, known = False, True
        yield page
        if page.ended or not (wait_s or page.items):
            return
        after = page.after


class _Chunks:
    """JSON: chunk by chunk as they come, or all in one list."""

    def __init__(self, *, follow: bool) -> None:
        self._follow = follow
        self._all: list[LogView] = []

    def see(self, chunk: LogView) -> None:
        from stoker.core.views import to_json

        if self._follow:
            terminal.say(to_json(chunk).decode())
        else:
            self._all.append(chunk)

    def end(self, nothing: str) -> None:
        if not self._follow:
            terminal.document(self._all)


class _Lines:
    """Whole lines, each with its node: a line may come in several chunks, with those of other tasks in between."""

    def __init__(self, *, timestamps: bool) -> None:
        self._timestamps = timestamps
        self._begun: dict[Key, tuple[str, str]] = {}  # what the line begins with: who says it, and what of it came
        self._said = False

    def see(self, chunk: LogView) -> None:
        self._said = True
        key = (chunk.task, chunk.attempt, chunk.stream)
        head, begun = self._begun.pop(key, (self._head(chunk), ""))
        *lines, rest = (begun + chunk.text).split("\n")
        for line in lines:
            terminal.say(f"{head} | {line}")
            head = self._head(chunk)
        if rest:
            self._begun[key] = (head, rest)

    def end(self, nothing: str) -> None:
        for head, rest in self._begun.values():
            terminal.say(f"{head} | {rest}")
        if not self._said:
            terminal.note(nothing)

    def _head(self, chunk: LogView) -> str:
        place = f"{chunk.branch}/{chunk.node}" if chunk.branch else chunk.node
        return f"{chunk.at:%Y-%m-%dT%H:%M:%S.%fZ} {place}" if self._timestamps else place
