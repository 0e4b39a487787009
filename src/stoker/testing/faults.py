"""What goes wrong in a world, how often. A value; the dice of the world say when."""

from __future__ import annotations

from dataclasses import dataclass, fields

from stoker.authoring.retry import duration
from stoker.core.graph import Duration
from stoker.errors import Invalid


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Chances are per claim or report of a runner; times are means.

    `lost`: it never arrives. `unanswered`: the server does it, and the answer is lost. `repeated`: a report arrives
    twice. `late`: a report arrives up to `late_by` later, perhaps after its sender gave up. `deaths`: each runner is
    killed so often, and started again within `away`. `stalls`: each stands still so often, for up to `stalled_for`.
    `crashes`: the server is killed so often, and starts again at once. None: never.
    """

    lost: float = 0.0
    unanswered: float = 0.0
    repeated: float = 0.0
    late: float = 0.0
    late_by: Duration = "40s"
    deaths: Duration | None = None
    away: Duration = "30s"
    stalls: Duration | None = None
    stalled_for: Duration = "60s"
    crashes: Duration | None = None

    def __post_init__(self) -> None:
        """Refuse chances that are none, and durations that are none."""
        chances = [self.lost, self.unanswered, self.repeated, self.late]
        if not all(0 <= chance <= 1 for chance in chances) or sum(chances) > 1:
            raise Invalid(
                f"chances lie between 0 and 1, together too, and these are {chances}.",
                place="Faults(lost, unanswered, repeated, late)",
                remedy="Say 0.05 for one in twenty.",
            )
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name not in ("lost", "unanswered", "repeated", "late") and value is not None:
                duration(field.name, value)


NONE = Faults()
HARSH = Faults(lost=0.05, unanswered=0.05, repeated=0.05, late=0.05, deaths="1m", stalls="2m", crashes="3m")
