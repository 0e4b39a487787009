"""The nine retry strategies of this protocol as the engine's three, each with its jitter."""

from __future__ import annotations

from typing import Literal, cast

from stoker.api.dialects.exosphere.wire import Policy
from stoker.core.graph import Retry
from stoker.core.retry import LONGEST, MOST_FACTOR

_MOST_ATTEMPTS = 1_000_000
_JITTERS: dict[str, Literal["none", "full", "equal"]] = {"": "none", "FULL": "full", "EQUAL": "equal"}


def retry(policy: Policy) -> Retry:
    """What numbers of any size come to: no delay is longer than the engine's longest, no task has more attempts."""
    growth, _, jitter = policy.strategy.partition("_")
    return Retry(
        attempts=min(policy.max_retries + 1, _MOST_ATTEMPTS),
        strategy=cast("Literal['fixed', 'linear', 'exponential']", growth.lower()),
        base=_seconds(policy.backoff_factor),
        factor=min(policy.exponent, MOST_FACTOR),
        cap=None if policy.max_delay is None else _seconds(policy.max_delay),
        jitter=_JITTERS[jitter.partition("_")[0]],
    )


def _seconds(milliseconds: int) -> str:
    return f"{min(milliseconds, LONGEST // 1_000)}ms"
