"""`Retry(3, base="2s")`: a retry policy in the form people write it."""

from __future__ import annotations

from typing import Literal

from stoker.authoring.misuse import misuse
from stoker.core import graph
from stoker.core.duration import micros


def Retry(  # noqa: N802 - it is written like the value it makes
    attempts: int = 3,
    *,
    strategy: Literal["fixed", "linear", "exponential"] = "exponential",
    base: graph.Duration = "2s",
    factor: float = 2.0,
    cap: graph.Duration | None = None,
    jitter: Literal["none", "full", "equal"] = "none",
) -> graph.Retry:
    """When a failed attempt is tried again: `attempts` include the first. Durations are `"2s"`, `"5m"` or seconds."""
    if isinstance(attempts, bool) or not isinstance(attempts, int) or attempts < 1:
        raise misuse(f"a retry has at least 1 attempt, the first included, not {attempts!r}.")
    if strategy not in ("fixed", "linear", "exponential"):
        raise misuse(f"there is no retry strategy {strategy!r}.", "It is 'fixed', 'linear' or 'exponential'.")
    if jitter not in ("none", "full", "equal"):
        raise misuse(f"there is no jitter {jitter!r}.", "It is 'none', 'full' or 'equal'.")
    if not factor > 0:
        raise misuse(f"the factor of a retry is above 0, not {factor!r}.")
    duration("base", base)
    if cap is not None:
        duration("cap", cap)
    return graph.Retry(attempts=attempts, strategy=strategy, base=base, factor=factor, cap=cap, jitter=jitter)


def duration(name: str, value: graph.Duration) -> graph.Duration:
    """The duration, if it is one. Raises Misuse naming the option."""
    try:
        micros(value)
    except ValueError as error:
        raise misuse(f"{name}={value!r}: {error}.") from None
    return value
