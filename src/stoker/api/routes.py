"""The table of all native routes."""

from __future__ import annotations

from stoker.api.native import (
    archives,
    artifacts,
    audit,
    events,
    forks,
    graphs,
    kinds,
    live,
    manifests,
    retention,
    roles,
    runners,
    runs,
    schedules,
    secrets,
    service,
    tasks,
    tokens,
    upkeep,
    waits,
)
from stoker.api.route import Route

ROUTES: tuple[Route, ...] = (
    *service.ROUTES,
    *tokens.ROUTES,
    *roles.ROUTES,
    *audit.ROUTES,
    *kinds.ROUTES,
    *graphs.ROUTES,
    *archives.ROUTES,
    *runs.ROUTES,
    *forks.ROUTES,
    *manifests.ROUTES,
    *schedules.ROUTES,
    *secrets.ROUTES,
    *retention.ROUTES,
    *upkeep.ROUTES,
    *live.ROUTES,
    *tasks.ROUTES,
    *waits.ROUTES,
    *runners.ROUTES,
    *artifacts.ROUTES,
    *events.ROUTES,
)
