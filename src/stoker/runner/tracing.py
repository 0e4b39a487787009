"""Spans of attempts, where user code has set OpenTelemetry up: below the span that the run was triggered in.

Whether it has is seen once, when the runner starts; where it is not even loaded, nothing of this is. User spans nest,
in threads, in coroutines, and in the process of an isolated node (which sets its own SDK up, by loading the same file).
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from stoker.core.protocol import Complete, Fail, Report

if TYPE_CHECKING:  # a server asks here whether spans are wanted, and needs nothing of a runner for it
    from opentelemetry.trace import Span

    from stoker.runner.execute import Kit
    from stoker.runner.job import Job

Run = Callable[["Job", "Kit"], list[Report]]
RunAsync = Callable[["Job", "Kit"], Awaitable[list[Report]]]


def wanted() -> bool:
    """Whether an OpenTelemetry SDK has been set up in this process."""
    if not _loaded():
        return False
    from opentelemetry import trace

    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def _loaded() -> bool:
    return "opentelemetry.trace" in sys.modules


def headers() -> dict[str, str]:
    """What a call carries of the caller's span, if there is one."""
    if not _loaded():
        return {}
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return {name: value for name, value in carrier.items() if name == "traceparent"}


def spanned(run: Run) -> Run:
    """The same, with a span around it; `run` gives user code a context of its own, so the span is put in there."""

    def attempt(job: Job, kit: Kit) -> list[Report]:
        with _span(job) as span:
            context = kit.context.copy()
            context.run(_enter, span)
            return _ended(span, run(job, msgspec.structs.replace(kit, context=context)))

    return attempt


def spanned_async(run: RunAsync) -> RunAsync:
    async def attempt(job: Job, kit: Kit) -> list[Report]:
        with _span(job) as span:
            _enter(span)  # in the context of this coroutine's own task
            return _ended(span, await run(job, kit))

    return attempt


def join(traceparent: str) -> None:
    """In the process of an isolated node: stand below the span that the runner has opened for it."""
    if _loaded() and traceparent:
        from opentelemetry import context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        context.attach(TraceContextTextMapPropagator().extract({"traceparent": traceparent}))


def flush() -> None:
    """Send the spans of a process that is about to end without cleaning up."""
    if _loaded():
        from opentelemetry import trace

        flush: Any = getattr(trace.get_tracer_provider(), "force_flush", None)
        if flush is not None:
            flush()


@contextmanager
def _span(job: Job) -> Iterator[Span]:
    """A span of this attempt; what is handed on to another process stands below it."""
    from opentelemetry import trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    task = job.assignment
    propagator = TraceContextTextMapPropagator()
    above = propagator.extract({"traceparent": task.traceparent}) if task.traceparent else None
    span = trace.get_tracer("stoker.runner").start_span(
        task.node,
        context=above,
        kind=trace.SpanKind.CONSUMER,
        attributes={
            "stoker.run": task.run,
            "stoker.task": task.task,
            "stoker.attempt": task.attempt,
            "stoker.node": task.node,
            "stoker.kind": task.kind,
            "stoker.branch": task.branch,
        },
    )
    carrier: dict[str, str] = {}
    propagator.inject(carrier, trace.set_span_in_context(span))
    job.assignment = msgspec.structs.replace(task, traceparent=carrier.get("traceparent", task.traceparent))
    try:
        yield span
    finally:
        span.end()


def _enter(span: Span) -> None:
    from opentelemetry import context, trace

    context.attach(trace.set_span_in_context(span))


def _ended(span: Span, reports: list[Report]) -> list[Report]:
    """Note what came of it, as it is reported."""
    from opentelemetry.trace import Status, StatusCode

    outcome = reports[-1]
    span.set_attribute("stoker.outcome", str(outcome.__struct_config__.tag))
    match outcome:
        case Complete():
            span.set_status(Status(StatusCode.OK))
        case Fail(error=error):
            span.set_status(Status(StatusCode.ERROR, error.message))
            kept = {"exception.type": error.type, "exception.message": error.message}
            span.add_event("exception", {**kept, "exception.stacktrace": error.traceback})
    return reports
