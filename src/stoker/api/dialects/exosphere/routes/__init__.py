"""The table of its routes: a file per noun."""

from __future__ import annotations

from stoker.api.dialects.exosphere.routes import enqueue, states
from stoker.api.route import Route

ROUTES: tuple[Route, ...] = (*enqueue.ROUTES, *states.ROUTES)
