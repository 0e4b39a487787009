"""Who proves to hold an attempt: a session, or (`BY_ATTEMPT`) a caller whose id of it names task and attempt."""

from __future__ import annotations

from stoker.core.model import Task

BY_ATTEMPT = 0  # in the place of a session, of which none has this number


def had(task: Task, attempt: int, session: int) -> bool:
    """Whether this holder's attempt is the newest of the task. An attempt alone proves nothing but own leases."""
    own = task.until is not None
    return task.attempt == attempt and (own if session == BY_ATTEMPT else task.session == session)
