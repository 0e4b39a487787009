"""What the serving child of `stoker server start` runs: the engine behind the HTTP application."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from socket import gethostname
from typing import Any

from stoker.api.serve import Application
from stoker.bootstrap import dialects, keyring
from stoker.bootstrap.databases import masked
from stoker.bootstrap.engine import opened
from stoker.bootstrap.telemetry import observed
from stoker.config import Settings, data_token, handed_on
from stoker.core.duration import SECOND
from stoker.core.keep_views import keep_spec
from stoker.engine.audit import Auditing
from stoker.telemetry.lines import configure

YOUNG = 10_000  # objects made before the youngest are looked through; Python's own 700 cost a tenth of a trigger
DAY = 86_400 * SECOND
TOLD = (
    "host",
    "port",
    "data",
    "artifacts",
    "path_prefix",
    "dialects",
    "audit_days",
    "audit_triggers",
    "keep",
    "metrics",
)


@asynccontextmanager
async def serving(arguments: Sequence[str]) -> AsyncIterator[Application]:
    """The application of the serving child; settings come from its environment. `--insecure`: without tokens."""
    settings = handed_on()
    configure(settings.log_format)
    insecure = "--insecure" in arguments
    token = settings.token or data_token(settings.data)
    opening = opened(
        settings.data,
        root_token=token,
        database=settings.database_url,
        artifacts=settings.artifacts,
        keys=keyring.of(settings),
        keep=keep_spec(settings.keep),
        audit=Auditing(keep=settings.audit_days * DAY or None, triggers=settings.audit_triggers),
    )
    async with opening as engine:
        await engine.audit.settings(f"server:{gethostname()}", told(settings, insecure=insecure))
        spoken = dialects.made(settings)
        for dialect in spoken:
            await dialect.begin(engine)
        _spare_the_collector()
        yield observed(engine, settings, version=version("stoker"), insecure=insecure, dialects=spoken)


def _spare_the_collector() -> None:
    """Look less often for cycles, and never among what was loaded: a batch makes thousands of rows, none in a cycle."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 10, 10)


def told(settings: Settings, *, insecure: bool) -> dict[str, Any]:
    """How this server is set up, as the audit log keeps it: without secrets."""
    database = None if settings.database_url is None else masked(settings.database_url)
    shown = {name: getattr(settings, name) for name in TOLD} | {"database_url": database}
    return {"version": version("stoker"), "insecure": insecure} | {
        name: value if isinstance(value, bool | int) else str(value) for name, value in shown.items() if value
    }
