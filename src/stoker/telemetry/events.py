"""What happens to runs and tasks, one line an event. What goes well is told at DEBUG only, and else costs nothing."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from stoker.core.model import Ended
from stoker.core.picture import Picture
from stoker.core.states import RunState
from stoker.engine.transaction import Outcome, Verb

MESSAGE = 500  # characters of an error's message; all of it is kept with the attempt

log = logging.getLogger("stoker.events")


class Events:
    """An observer of batches."""

    def committed(self, verbs: Sequence[Verb], outcome: Outcome, seconds: float) -> None:
        fold = outcome.fold
        for ended in fold.history:
            _attempt(fold, ended)
        if fold.ended_runs or fold.new_runs:
            _runs(fold)


def _attempt(fold: Picture, ended: Ended) -> None:
    run = fold.runs[ended.run]
    node = fold.graphs[run.version].nodes[fold.tasks[ended.task].node].name
    said = f": {ended.message[:MESSAGE]}" if ended.message else ""
    log.log(
        logging.WARNING if ended.outcome == "lost" else logging.INFO,
        "task %d (%s), attempt %d: %s%s",
        *(ended.task, node, ended.attempt, ended.outcome, said),
        extra={
            "event": f"attempt.{ended.outcome}",
            "run": ended.run,
            "task": ended.task,
            "attempt": ended.attempt,
            "node": node,
            "code": ended.code,
            "session": ended.session,
        },
    )


def _runs(fold: Picture) -> None:
    all_ = log.isEnabledFor(logging.DEBUG)
    for id_ in sorted(fold.new_runs) if all_ else ():
        log.debug("run %d started", id_, extra={"event": "run.started", "run": id_})
    for id_ in fold.ended_runs:
        state = fold.runs[id_].state
        good = state is RunState.SUCCEEDED
        if all_ or not good:
            extra = {"event": f"run.{state.name.lower()}", "run": id_}
            log.log(logging.DEBUG if good else logging.INFO, "run %d is %s", id_, state.name, extra=extra)
