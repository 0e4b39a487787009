"""One attempt, run here and now."""

from __future__ import annotations

import gc
import weakref
from contextvars import copy_context
from threading import Lock
from typing import Any

from runner.fakes import FakeNode
from stoker.core.protocol import Assignment, Complete
from stoker.runner.execute import Kit, run
from stoker.runner.job import Job
from stoker.runner.journal import Journal


def test_an_attempt_that_is_over_is_freed_at_once() -> None:
    """What it holds may be large, and a collection that has to find it costs every task."""
    listener: Any = None
    assignment = Assignment(task=1, attempt=1, run=1, node="n", kind="n")
    job = Job(assignment, FakeNode(nothing), Journal(1, 1, listener, Lock()), None)
    context = weakref.ref(job.context)
    gc.disable()
    try:
        (report,) = run(job, Kit(context=copy_context(), access=listener))
        del job
        assert isinstance(report, Complete)
        assert context() is None
    finally:
        gc.enable()


def nothing() -> None:
    return None
