"""What listens to an engine, and stands around its application, as the settings say."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from stoker.api.app import App, build
from stoker.api.serve import Application
from stoker.bootstrap.engine import StokerEngine
from stoker.config import Settings
from stoker.engine.observer import Observer, Observers
from stoker.runner import tracing
from stoker.telemetry.access import AccessLog
from stoker.telemetry.events import Events

if TYPE_CHECKING:
    from stoker.api.dialects.dialect import Dialect


def observed(
    engine: StokerEngine,
    settings: Settings,
    *,
    version: str,
    insecure: bool = False,
    dialects: Sequence[Dialect] = (),
) -> Application:
    """The application of a server, with all that listens attached."""
    listening: list[Observer] = [Events()]
    metrics = None
    if settings.metrics != "off":
        from stoker.telemetry.metrics import Metrics

        metrics = Metrics(engine.store, engine.namespace, lambda: len(engine.sessions.connected()), time.monotonic)
        listening.append(metrics)
    app = build(
        engine,
        version=version,
        insecure=insecure,
        path_prefix=settings.path_prefix,
        metrics=metrics,
        opened=["metrics"] if settings.metrics == "public" else [],
        dialects=dialects,
    )
    found = with_spans(engine, app, listening)
    return AccessLog(found) if settings.access_log else found


def with_spans(engine: StokerEngine, app: App, listening: list[Observer]) -> Application:
    """The same application; with spans, if they are wanted."""
    found: Application = app
    if tracing.wanted():
        from stoker.telemetry.traces import BatchSpans, TriggerSpans

        listening = [*listening, BatchSpans()]
        found = TriggerSpans(app)
    if listening:
        engine.batches.observer = listening[0] if len(listening) == 1 else Observers(listening)
    return found
