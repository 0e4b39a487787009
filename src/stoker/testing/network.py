"""The network of a world: how long requests take, which of them are lost, late or repeated. Its dice decide."""

from __future__ import annotations

from random import Random
from typing import Literal

from stoker.core.duration import Micros, micros
from stoker.testing.faults import Faults

Fate = Literal["well", "lost", "unanswered", "late", "repeated"]

TRIPS: tuple[Micros, ...] = (100, 200, 500, 1_000, 2_000, 10_000)
TRIP_WEIGHTS = (20, 30, 25, 15, 8, 2)


class Network:
    """Draws what happens to requests. Calm, it only takes its time."""

    def __init__(self, seed: int, faults: Faults) -> None:
        self._pace = Random(f"{seed} trips")  # noqa: S311 - draws what happens, protects nothing
        self._luck = Random(f"{seed} fates")  # noqa: S311 - as above
        self._names = Random(f"{seed} requests")  # noqa: S311 - as above
        self.faults = faults

    def trip(self) -> Micros:
        """How long one way takes."""
        return self._pace.choices(TRIPS, TRIP_WEIGHTS)[0] + self._pace.randrange(100)

    def request_id(self) -> str:
        """What a request is called, in the rows of the audit too."""
        return self._names.randbytes(8).hex()

    def fate(self, verb: str) -> Fate:
        """What becomes of a claim or a report; nothing but those is ever in danger."""
        if verb not in ("claims", "reports"):
            return "well"
        drawn = self._luck.random()
        for fate, chance in self._chances(verb):
            if drawn < chance:
                return fate
            drawn -= chance
        return "well"

    def lateness(self) -> Micros:
        return self._luck.randrange(1, micros(self.faults.late_by) + 2)

    def _chances(self, verb: str) -> list[tuple[Fate, float]]:
        of = self.faults
        chances: list[tuple[Fate, float]] = [("lost", of.lost), ("unanswered", of.unanswered)]
        return [*chances, ("late", of.late), ("repeated", of.repeated)] if verb == "reports" else chances
