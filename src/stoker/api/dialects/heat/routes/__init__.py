"""HEAT's routes, one file per noun: decode, ask the engine, encode."""

from __future__ import annotations

from stoker.api.dialects.heat.routes import (
    configuration,
    datasources,
    members,
    nodetemplates,
    projects,
    runnertypes,
    scenarios,
    sessiontemplates,
    templatenodes,
)
from stoker.api.route import Route

ROUTES: tuple[Route, ...] = (
    *datasources.ROUTES,
    *projects.ROUTES,
    *sessiontemplates.ROUTES,
    *templatenodes.ROUTES,
    *members.ROUTES,
    *scenarios.ROUTES,
    *nodetemplates.ROUTES,
    *runnertypes.ROUTES,
    *configuration.ROUTES,
)
