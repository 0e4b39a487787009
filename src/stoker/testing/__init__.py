"""Tests of users' graphs: a world in virtual time (`simulate`), and the pytest plugin `stoker`. Loaded when used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stoker.testing.faults import HARSH, Faults
    from stoker.testing.run import VirtualRun
    from stoker.testing.runner import Runner
    from stoker.testing.world import World, simulate

_WHERE = {"HARSH": "faults", "Faults": "faults", "Runner": "runner", "VirtualRun": "run", "World": "world"}

__all__ = ["HARSH", "Faults", "Runner", "VirtualRun", "World", "simulate"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'stoker.testing' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"stoker.testing.{_WHERE.get(name, 'world')}"), name)
