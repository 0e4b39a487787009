"""How long to leave a server alone that did not answer: doubling, with jitter, and counted in seconds."""

from __future__ import annotations

FIRST_S = 0.1
LONGEST_S = 5.0


class Backoff:
    """Counts failures in a row. `jitter` is a number from 0 to 1 that the caller draws."""

    def __init__(self) -> None:
        self.failures = 0

    def failed(self, jitter: float) -> float:
        """Return how many seconds to wait, between half of the full delay and all of it."""
        full: float = min(LONGEST_S, FIRST_S * 2 ** min(self.failures, 16))
        self.failures += 1
        return full * (0.5 + 0.5 * jitter)

    def answered(self) -> None:
        """Start over: the server is there."""
        self.failures = 0
