"""When a failed attempt is tried again."""

from __future__ import annotations

import msgspec

from stoker.core.duration import Micros, micros
from stoker.core.graph import Retry

MILLISECOND: Micros = 1_000
LONGEST: Micros = 366 * 86_400_000_000  # of a delay without a cap
MOST_FACTOR = 1_000_000


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """A `Retry` with its durations read."""

    attempts: int
    strategy: str
    base: Micros
    factor: float
    cap: Micros | None
    jitter: str


NO_RETRY = RetryPolicy(attempts=1, strategy="fixed", base=0, factor=1.0, cap=None, jitter="none")


def policy(retry: Retry | None) -> RetryPolicy:
    """Read a `Retry`; ValueError where a duration or a bound is wrong."""
    if retry is None:
        return NO_RETRY
    if not 1 <= retry.attempts <= 1_000_000:
        raise ValueError(f"retry attempts include the first and lie between 1 and 1000000, not {retry.attempts}")
    if not 0 < retry.factor <= MOST_FACTOR:
        raise ValueError(f"a retry factor lies between 0 and {MOST_FACTOR}, not {retry.factor}")
    return RetryPolicy(
        attempts=retry.attempts,
        strategy=retry.strategy,
        base=micros(retry.base),
        factor=retry.factor,
        cap=None if retry.cap is None else micros(retry.cap),
        jitter=retry.jitter,
    )


def delay(policy: RetryPolicy, failures: int, dice: float = 1.0) -> Micros | None:
    """How long after the `failures`-th failure to wait; None: spent. `dice` in 0..1 decides the jitter, in whole ms."""
    if failures >= policy.attempts:
        return None
    match policy.strategy:
        case "fixed":
            whole = float(policy.base)
        case "linear":
            whole = float(policy.base) * failures
        case _:
            whole = policy.base * policy.factor ** min(failures - 1, 64)
    match policy.jitter:
        case "full":
            whole *= dice
        case "equal":
            whole *= 0.5 + dice / 2
    pause = int(min(whole, 1e18))
    if policy.jitter != "none":
        pause -= pause % MILLISECOND
    return min(pause, policy.cap if policy.cap is not None else LONGEST)
