"""`stoker.wait`: a node that stands until somebody settles it."""

from __future__ import annotations

from typing import Any

import msgspec

from stoker.authoring.dump import plain
from stoker.authoring.handle import Handle
from stoker.authoring.misuse import misuse
from stoker.authoring.retry import duration
from stoker.authoring.schema import schema_of
from stoker.authoring.trace import current
from stoker.core import graph


class Waiting:
    """`stoker.wait(...)` in a graph, or `stoker.wait.map(...)` for one wait per element."""

    def __call__(
        self,
        name: str,
        /,
        *,
        schema: Any = None,
        expires: graph.Duration | None = None,
        default: Any = msgspec.UNSET,
        tolerated: bool = False,
        **shown: Any,
    ) -> Any:
        """A wait: what it is settled with is its output.

        `schema`: a type hint or JSON Schema that the value must fit. `expires`: how long it waits; then it fails with
        the code `expired`, or takes the `default`. Everything else is shown to whoever settles it, and comes first.
        """
        return self._place(name, schema, expires, default, tolerated, shown, mapped=False)

    def map(
        self,
        name: str,
        /,
        *,
        schema: Any = None,
        expires: graph.Duration | None = None,
        default: Any = msgspec.UNSET,
        tolerated: bool = False,
        **shown: Any,
    ) -> Any:
        """As a call, one wait per element of `each(...)` or per task of a mapped handle."""
        return self._place(name, schema, expires, default, tolerated, shown, mapped=True)

    @staticmethod
    def _place(
        name: str,
        schema: Any,
        expires: graph.Duration | None,
        default: Any,
        tolerated: bool,
        shown: dict[str, Any],
        *,
        mapped: bool,
    ) -> Handle:
        trace = current()
        if trace is None:
            raise misuse(
                f"the wait {name!r} stands outside of a graph.",
                "Put it into a function decorated with @stoker.graph; a node cannot wait for a person.",
            )
        if isinstance(shown.get("timeout"), str | int | float):
            raise misuse(f"the wait {name!r} has no timeout.", "Write expires='24h'; what it shows has other names.")
        if default is not msgspec.UNSET and expires is None:
            raise misuse(f"the wait {name!r} has a default and never expires.", "Pass expires='24h', too.")
        wait = graph.Wait(
            schema=_schema(name, schema),
            expires=None if expires is None else duration("expires", expires),
            default=default if default is msgspec.UNSET else plain(default),
        )
        node = graph.NodeSpec(name=name, kind=graph.WAIT_KIND, wait=wait, tolerated=tolerated)
        return trace.place(node, shown, mapped=mapped)


def _schema(name: str, schema: Any) -> dict[str, Any]:
    if schema is None or isinstance(schema, dict):
        return schema or {}
    return schema_of(schema, f"the schema of the wait {name!r}", "")


wait = Waiting()
