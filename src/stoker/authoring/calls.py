"""A node called inside a graph function, with or without options."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from stoker.authoring.attempts import attempts
from stoker.authoring.handle import Handle
from stoker.authoring.limit import checked
from stoker.authoring.misuse import misuse
from stoker.authoring.program import Policy
from stoker.authoring.trace import current
from stoker.authoring.work import Work
from stoker.core import graph


class NodeCall:
    """A node with the options of one place in a graph: call it, or `.map` it."""

    __slots__ = ("_policy", "_template", "_when", "_work")

    def __init__(
        self,
        work: Work,
        template: graph.NodeSpec | None = None,
        policy: Policy = "all_success",
        when: str | None = None,
    ) -> None:
        self._work = work
        self._template = template or work.template
        self._policy = policy
        self._when = when

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._record(self._work.bind(args, kwargs), mapped=False)

    def map(self, *args: Any, **kwargs: Any) -> Any:
        """One task per element: of each(...), or of the source that a handle was mapped over."""
        return self._record(self._work.bind(args, kwargs), mapped=True)

    def _record(self, args: dict[str, Any], *, mapped: bool) -> Handle:
        trace = current()
        if trace is None:
            raise misuse(
                f"{self._work.name!r} is mapped or given options outside of a graph.",
                "Do it in a function decorated with @stoker.graph; outside, call the node plainly.",
            )
        return trace.call(self._work, self._template, args, mapped=mapped, policy=self._policy, when=self._when)


def with_options(
    work: Work,
    *,
    join: Policy = "all_success",
    name: str | None = None,
    tolerated: bool | None = None,
    priority: int | None = None,
    requires: graph.Requirements | None = None,
    limit: graph.Limit | None = None,
    when: str | None = None,
    **options: Any,
) -> NodeCall:
    """The options of `node.options(...)`, checked; further ones are those of its attempts."""
    if when is not None and (not isinstance(when, str) or not when.strip()):
        raise misuse(f"when= is a CEL expression as a text, not {when!r}.", 'Write when="item.rows > 100".')
    if join not in ("all_success", "all_done"):
        raise misuse(f"join={join!r} is not a policy.", "It is 'all_success' or 'all_done'.")
    if priority is not None and (isinstance(priority, bool) or not 0 <= priority <= 9):
        raise misuse(f"a priority is an integer from 0 to 9, not {priority!r}.")
    checked(limit)
    given = {
        "name": name,
        "tolerated": tolerated,
        "priority": priority,
        "requires": requires,
        "limit": limit,
    }
    changed = replace(
        work.template, **{key: value for key, value in given.items() if value is not None}, **attempts(**options)
    )
    return NodeCall(work, changed, join, when)
