"""The bodies and replies of this protocol's graphs, as values."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Misfire = Literal["latest", "skip", "all"]
UnitesStrategy = Literal["ALL_SUCCESS", "ALL_DONE"]

STRATEGIES = (
    "EXPONENTIAL",
    "EXPONENTIAL_FULL_JITTER",
    "EXPONENTIAL_EQUAL_JITTER",
    "LINEAR",
    "LINEAR_FULL_JITTER",
    "LINEAR_EQUAL_JITTER",
    "FIXED",
    "FIXED_FULL_JITTER",
    "FIXED_EQUAL_JITTER",
)


class _Wire(msgspec.Struct, frozen=True, kw_only=True):
    pass


class Unites(_Wire, frozen=True):
    identifier: str
    strategy: UnitesStrategy = "ALL_SUCCESS"


class Node(_Wire, frozen=True):
    """A node template, trimmed. `inputs` hold texts, once they have been checked."""

    node_name: str
    namespace: str
    identifier: str
    inputs: dict[str, Any] = {}
    next_nodes: list[str] = []
    unites: Unites | None = None
    lease: float | msgspec.UnsetType = msgspec.UNSET
    timeout: float | msgspec.UnsetType = msgspec.UNSET


class Policy(_Wire, frozen=True):
    """Times are in milliseconds."""

    max_retries: int = 3
    strategy: str = "EXPONENTIAL"
    backoff_factor: int = 2000
    exponent: int = 2
    max_delay: int | None = None


class StoreConfig(_Wire, frozen=True):
    required_keys: list[str] = []
    default_values: dict[str, str] = {}

    @property
    def required(self) -> set[str]:
        """The keys that a trigger has to give."""
        return {*self.required_keys} - self.default_values.keys()


class Cron(_Wire, frozen=True):
    """When to trigger, and with what. What was not sent is not shown either."""

    expression: str
    timezone: str | msgspec.UnsetType = msgspec.UNSET
    inputs: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    store: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    misfire: Misfire | msgspec.UnsetType = msgspec.UNSET


class Trigger(_Wire, frozen=True):
    value: Cron
    type: Literal["CRON"] = "CRON"


class Upsert(_Wire, frozen=True):
    """A graph template, as it was sent. `secrets`: their plaintexts, which no reply and no document holds."""

    nodes: list[Node]
    secrets: dict[str, str] = {}
    retry_policy: Policy = Policy()
    store_config: StoreConfig = StoreConfig()
    triggers: list[Trigger] = []
    lease: float | msgspec.UnsetType = msgspec.UNSET
    timeout: float | msgspec.UnsetType = msgspec.UNSET


class TriggerBody(_Wire, frozen=True):
    """`start_delay` in milliseconds."""

    start_delay: int = 0
    inputs: dict[str, str] = {}
    store: dict[str, str] = {}


def set_text(names: set[str]) -> str:
    """A set as this protocol's messages show it: sorted, each name in quotes."""
    return "{" + ", ".join(repr(name) for name in sorted(names)) + "}"
