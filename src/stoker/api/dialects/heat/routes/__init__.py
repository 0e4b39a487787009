"""HEAT's routes, one file per noun: decode, ask the engine, encode."""

from __future__ import annotations

from stoker.api.dialects.heat.routes import (
    configuration,
    datasources,
    members,
    nodes,
    nodetemplates,
    outputs,
    projects,
    runnertypes,
    scenarios,
    sessions,
    sessiontemplates,
    tasks,
    templatenodes,
)
from stoker.api.route import Route

ROUTES: tuple[Route, ...] = (
    *datasources.ROUTES,
    *projects.ROUTES,
    *sessiontemplates.ROUTES,
    *templatenodes.ROUTES,
    *sessions.ROUTES,
    *members.ROUTES,
    *scenarios.ROUTES,
    *nodes.ROUTES,
    *outputs.ROUTES,
    *tasks.ROUTES,
    *nodetemplates.ROUTES,
    *runnertypes.ROUTES,
    *configuration.ROUTES,
)
