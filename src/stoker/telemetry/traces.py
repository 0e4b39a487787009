"""Spans of a server, for who starts it with an OpenTelemetry SDK. Without one, none of this is loaded.

A trigger has a span, below that of its caller; its runs stand below it, and so do the attempts, whose spans are the
runners'. A batch has one of its own, which names the runs' traces as links: it is for all of them.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import MutableMapping, Sequence
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Link, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from stoker.core.model import Run
from stoker.core.states import LIVE
from stoker.engine.transaction import Outcome, Verb
from stoker.telemetry.access import Application, Receive, Send

MOST_LINKS = 64  # of one batch, to runs
HEADER = b"traceparent"

_w3c = TraceContextTextMapPropagator()


class BatchSpans:
    """An observer of batches."""

    def __init__(self) -> None:
        self._tracer = trace.get_tracer("stoker.server")

    def committed(self, verbs: Sequence[Verb], outcome: Outcome, seconds: float) -> None:
        ended_at = time.time_ns()
        fold = outcome.fold
        settled = sum(
            1 for task in fold.tasks.values() if task.state not in LIVE and fold.loaded.get(task.id) is not task
        )
        given = [*outcome.handed.values(), *(handed for _, handed in outcome.waiters if handed is not None)]
        counts = Counter(f"stoker.verbs.{type(verb).__name__.lower()}" for verb in verbs)
        self._tracer.start_span(
            "stoker.batch",
            start_time=ended_at - round(seconds * 1e9),
            attributes={
                **counts,
                "stoker.tasks.settled": settled,
                "stoker.tasks.leased": sum(len(handed.tasks) for handed in given),
                "stoker.runs.started": len(fold.new_runs),
                "stoker.runs.ended": len(fold.ended_runs),
            },
            links=[link for run in list(fold.runs.values())[:MOST_LINKS] if (link := _link(run)) is not None],
        ).end(ended_at)


class TriggerSpans:
    """An application around another: who triggers a run is answered within a span, which the run then stands below."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._tracer = trace.get_tracer("stoker.server")
        self.closing = app.closing

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].endswith(("/runs", "/runs/batch")):
            await self._app(scope, receive, send)
            return
        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        attributes = {"http.request.method": "POST", "url.path": scope["path"]}
        with self._tracer.start_as_current_span(
            "stoker.trigger", context=_w3c.extract(carrier), kind=SpanKind.SERVER, attributes=attributes
        ) as span:

            async def noted(message: MutableMapping[str, Any]) -> None:
                if status := message.get("status"):
                    span.set_attribute("http.response.status_code", status)
                    if status >= 500:
                        span.set_status(Status(StatusCode.ERROR))
                await send(message)

            await self._app({**scope, "headers": _within(scope["headers"])}, receive, noted)


def _within(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers, as if the caller's span were the current one."""
    carrier: dict[str, str] = {}
    _w3c.inject(carrier)
    if "traceparent" not in carrier:
        return list(headers)
    return [*(header for header in headers if header[0] != HEADER), (HEADER, carrier["traceparent"].encode())]


def _link(run: Run) -> Link | None:
    if run.traceparent is None:
        return None
    context = trace.get_current_span(_w3c.extract({"traceparent": run.traceparent})).get_span_context()
    return Link(context, {"stoker.run": run.id})
