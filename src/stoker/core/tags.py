"""Tags of a run: names and values given at its trigger, by which runs are found again."""

from __future__ import annotations

from collections.abc import Mapping

from stoker.core.names import fault

MOST_TAGS = 32  # of one run
RULE = f"A run has up to {MOST_TAGS} tags; names and values are texts of 1 to 200 bytes without control characters."


def wrong(tags: Mapping[str, str]) -> tuple[str, str] | None:
    """What is wrong with tags, and where; None if nothing is."""
    if len(tags) > MOST_TAGS:
        return f"a run has at most {MOST_TAGS} tags, not {len(tags)}", "tags"
    for name, value in tags.items():
        if found := fault(name):
            return found, "tags"
        if found := fault(value):
            return found.replace("the name", "the value", 1).replace("a name", "a value", 1), f"tags.{name}"
    return None
