"""HEAT's routes, one file per noun: decode, ask the engine, encode."""

from __future__ import annotations

from stoker.api.dialects.heat.routes import (
    configuration,
    datasources,
    nodetemplates,
    projects,
    runnertypes,
    sessiontemplates,
    templatenodes,
)
from stoker.api.route import Route

ROUTES: tuple[Route, ...] = (
    *datasources.ROUTES,
    *projects.ROUTES,
    *sessiontemplates.ROUTES,
    *templatenodes.ROUTES,
    *nodetemplates.ROUTES,
    *runnertypes.ROUTES,
    *configuration.ROUTES,
)
