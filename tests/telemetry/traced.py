"""Nodes that open spans of their own, and a file that sets OpenTelemetry up for whoever loads it by itself."""

from __future__ import annotations

import sys

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

import stoker

if "stoker.runner.isolated" in sys.orig_argv:
    trace.set_tracer_provider(TracerProvider())


def within() -> str:
    """Open a span, and tell the trace and the span that it stands below."""
    with trace.get_tracer("user").start_as_current_span("inside") as span:
        below = span.parent.span_id if span.parent else 0  # type: ignore[attr-defined]  # of the SDK's spans
        return f"{span.get_span_context().trace_id:032x}-{below:016x}"


@stoker.node
def plain(x: int) -> str:
    return within()


@stoker.node
async def waiting(x: int) -> str:
    return within()


@stoker.node(isolation=True)
def apart(x: int) -> str:
    return within()


@stoker.node
def failing(x: int) -> str:
    raise ValueError("odd")


@stoker.graph
def three(x: int):
    return plain(x), waiting(x), apart(x)


@stoker.graph
def outer(x: int):
    return stoker.subgraph(three)(x=x)


@stoker.graph
def broken(x: int):
    return failing(x)
