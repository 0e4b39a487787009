"""What a plain step of the grinder makes of its inputs: pure functions of them alone, whoever runs them, and how often.

So the items of a graph of plain steps can be known without running it (`evaluate`).
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

PLAIN, PLAINS = "plain", "plains"  # the kind with one item, and that with several

Widths = list[int]


def item(name: str, widths: Widths, given: Any) -> dict[str, Any]:
    """The item of a node called so: a name that tells all it was given, and parts to fan out over."""
    digest = hashlib.sha256(json.dumps([name, given], sort_keys=True).encode()).hexdigest()
    count = widths[int(digest[:8], 16) % len(widths)]
    return {"id": digest[:16], "parts": [{"id": f"{digest[:8]}.{part}", "parts": []} for part in range(count)]}


def items(name: str, widths: Widths, given: Any) -> list[dict[str, Any]]:
    """As many items as the first would have parts."""
    first = item(name, widths, given)
    return [item(f"{name}.{number}", widths, given) for number in range(len(first["parts"]))]
