"""What this server remembers of limits: which lanes stand under which, and when a lane is worth another look.

Nothing that counts is remembered here: slots and starts are counted in the database at every claim. A lane under a full
limit is looked at again when a lease of it ends (`freed` of a commit, here or elsewhere); one that a rate holds back,
or whose limit another server had just locked, at a time that is planned here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from stoker.core.duration import Micros
from stoker.engine.alarm import NEVER, Alarm
from stoker.engine.ports import Lane

ANY = 1_000  # tasks that may be had where only is known that there are some


class Later(NamedTuple):
    """When to come back to a lane, and how soon after that for one more task (0: then for any number)."""

    at: Micros
    every: Micros = 0


class Gates:
    """The limits of lanes, and the looks that are planned."""

    def __init__(self, alarm: Alarm) -> None:
        self._alarm = alarm
        self._of: dict[int, int] = {}  # by lane; what a lane stands under never changes
        self._lanes: dict[int, list[int]] = {}
        self._keyed: set[int] = set()
        self._planned: dict[int, Later] = {}
        self.after = 0  # the gate up to which the last claim looked through those of lanes with more than it looks at

    def learn(self, lanes: Iterable[Lane]) -> None:
        """Take note of lanes; to be done before a session is given them."""
        for lane in lanes:
            if lane.gate and lane.id not in self._of:
                self._lanes.setdefault(lane.gate, []).append(lane.id)
                self._of[lane.id] = lane.gate
                if lane.keyed:
                    self._keyed.add(lane.id)

    def among(self, lanes: Sequence[int]) -> dict[int, int]:
        """Those of these lanes that stand under a limit, and which."""
        return {lane: self._of[lane] for lane in lanes if lane in self._of} if self._of else {}

    def keyed(self, lanes: Iterable[int]) -> list[int]:
        """Those of these lanes where each value has a gate of its own; what they stand under is their template."""
        return [lane for lane in lanes if lane in self._keyed] if self._keyed else []

    def lanes(self, gates: Mapping[int, int]) -> dict[int, int]:
        """The lanes under these limits, with what is said of each limit."""
        return {lane: count for gate, count in gates.items() for lane in self._lanes.get(gate, ())}

    # --- planned looks ---

    def plan(self, later: Mapping[int, Later]) -> None:
        """Come back to these lanes."""
        for lane, look in later.items():
            if look.every or lane not in self._planned or look.at < self._planned[lane].at:
                self._planned[lane] = look
            self._alarm.at(look.at)

    def due(self, now: Micros) -> dict[int, int]:
        """The lanes to look at now, with about how many tasks may be had; they are planned no more."""
        found = {lane: look for lane, look in self._planned.items() if look.at <= now}
        for lane in found:
            del self._planned[lane]
        return {lane: 1 + (now - look.at) // look.every if look.every else ANY for lane, look in found.items()}

    @property
    def next_at(self) -> Micros:
        """When the next look is due."""
        return min((look.at for look in self._planned.values()), default=NEVER)
