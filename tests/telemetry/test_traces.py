"""Spans from the caller through the server to user code in the runner: one trace."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.util._once import Once

from stoker.bootstrap.embedded import Embedded
from telemetry.traced import broken, outer, three


@pytest.fixture
def exported() -> Iterator[InMemorySpanExporter]:
    """What is exported, of an SDK that is set up for one test."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    yield exporter
    trace._TRACER_PROVIDER, trace._TRACER_PROVIDER_SET_ONCE = None, Once()
    provider.shutdown()


def named(exporter: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.name == name]


def parent(span: ReadableSpan) -> int:
    assert span.parent is not None
    return span.parent.span_id


def test_attempts_of_every_sort_stand_below_the_trigger_and_user_spans_below_them(
    exported: InMemorySpanExporter,
) -> None:
    with Embedded() as server, server.runner([three]), server.client() as client:
        with trace.get_tracer("caller").start_as_current_span("calling"):
            handle = client.trigger(three, x=1)
        told = handle.result()
        task = next(task for task in client.call(client.api.tasks(handle.id)).items if task.node == "plain")
    (calling,), (trigger,) = named(exported, "calling"), named(exported, "stoker.trigger")
    assert trigger.kind is SpanKind.SERVER
    assert parent(trigger) == calling.context.span_id
    attempts = {name: named(exported, name)[0] for name in ("plain", "waiting", "apart")}
    for (name, span), said in zip(attempts.items(), told, strict=True):
        assert (span.kind, parent(span)) == (SpanKind.CONSUMER, trigger.context.span_id), name
        assert span.status.status_code is StatusCode.OK
        assert said == f"{calling.context.trace_id:032x}-{span.context.span_id:016x}", name
    assert attempts["plain"].attributes == {
        "stoker.run": handle.id,
        "stoker.task": task.id,
        "stoker.attempt": 1,
        "stoker.node": "plain",
        "stoker.kind": "plain",
        "stoker.branch": "",
        "stoker.outcome": "complete",
    }
    batches = named(exported, "stoker.batch")
    assert any(link.context.span_id == trigger.context.span_id for batch in batches for link in batch.links)
    assert sum(batch.attributes["stoker.tasks.settled"] for batch in batches if batch.attributes) >= 3


def test_a_child_run_stands_where_the_run_above_it_stands(exported: InMemorySpanExporter) -> None:
    with Embedded() as server, server.runner([three]), server.client() as client:
        client.push(three)
        with trace.get_tracer("caller").start_as_current_span("calling"):
            handle = client.trigger(outer, x=1)
        assert len(handle.result()) == 3
    (trigger,), (plain,) = named(exported, "stoker.trigger"), named(exported, "plain")
    assert parent(plain) == trigger.context.span_id


def test_a_failed_attempt_has_a_failed_span_with_its_exception(exported: InMemorySpanExporter) -> None:
    with Embedded() as server, server.runner([broken]), server.client() as client:
        client.trigger(broken, x=1).wait()
    (span,) = named(exported, "failing")
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "odd")
    (event,) = span.events
    assert event.attributes is not None
    assert event.attributes["exception.type"] == "ValueError"
    assert "raise ValueError" in str(event.attributes["exception.stacktrace"])
    (trigger,) = named(exported, "stoker.trigger")
    assert trigger.parent is None  # the caller has no span: the trace is made by the server
    assert parent(span) == trigger.context.span_id
