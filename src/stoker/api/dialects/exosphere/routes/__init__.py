"""The table of its routes: a file per noun."""

from __future__ import annotations

from stoker.api.dialects.exosphere.routes import details, enqueue, graphs, nodes, runs, service, states
from stoker.api.route import Route

ROUTES: tuple[Route, ...] = (
    *service.ROUTES,
    *nodes.ROUTES,
    *graphs.ROUTES,
    *enqueue.ROUTES,
    *states.ROUTES,
    *runs.ROUTES,
    *details.ROUTES,
)
