"""HEAT's routes, one file per noun: decode, ask the engine, encode."""

from __future__ import annotations

from stoker.api.route import Route

ROUTES: tuple[Route, ...] = ()
