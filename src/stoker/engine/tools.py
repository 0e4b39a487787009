"""What every transaction of an engine works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stoker.engine.dispatch import Dispatcher
from stoker.engine.gates import Gates
from stoker.engine.ids import Ids
from stoker.engine.known import Keys
from stoker.engine.ports import Clock, Dice
from stoker.engine.versions import Versions


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """`alone`: whether no other server can have changed what this one remembers."""

    alone: Callable[[], bool]
    versions: Versions
    ids: Ids
    clock: Clock
    dice: Dice
    dispatcher: Dispatcher
    gates: Gates
    keys: Keys
