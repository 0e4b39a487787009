"""`--watch`: the nodes of a run as they move. A live tree in a terminal, lines elsewhere; on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from stoker.cli import terminal

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

    from stoker.core.views import NodeCounts, RunView

Seen = Callable[["RunView"], None]
_COUNTS = ("succeeded", "leased", "ready", "failed", "pruned", "cancelled", "skipped")
_WORDS = {"leased": "running", "succeeded": "done", "ready": "waiting"}
_MARKS = {"failed": ("✗", "red"), "leased": ("▶", "cyan"), "ready": ("…", "yellow"), "succeeded": ("✓", "green")}


@contextmanager
def watching() -> Iterator[Seen]:
    """What to call with each view of the run."""
    if not sys.stderr.isatty():
        yield _Lines().see
        return
    from rich.live import Live

    with Live(console=terminal.console(sys.stderr), refresh_per_second=8, transient=False) as live:
        yield lambda view: live.update(tree(view))


class _Lines:
    """A line for each node that has moved."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}

    def see(self, view: RunView) -> None:
        for node in view.nodes:
            line = f"{node.node}: {counts(node)}"
            if self._said.get(node.node) != line and counts(node):
                self._said[node.node] = line
                terminal.note(line)
        if view.state != "RUNNING":
            terminal.note(f"run {view.id}: {view.state} after {elapsed(view)}")


def tree(view: RunView) -> Tree:
    from rich.text import Text
    from rich.tree import Tree

    state = f"{view.state} (stopping)" if view.stopping else view.state
    head = Text.assemble((f"run {view.id} ", "bold"), f"{view.graph} v{view.version}  ")
    head.append(state, terminal.STYLES.get(view.state, ""))
    head.append(f"  {elapsed(view)}", "dim")
    made = Tree(head, guide_style="dim")
    width = max((len(node.node) for node in view.nodes), default=0)
    for node in view.nodes:
        made.add(_node(node, width))
    return made


def _node(node: NodeCounts, width: int) -> Text:
    from rich.text import Text

    mark, style = next((found for name, found in _MARKS.items() if getattr(node, name)), ("·", "dim"))
    line = Text.assemble((mark, style), " ", node.node.ljust(width), "  ", (counts(node) or "not reached yet", "dim"))
    if node.message:
        line.append(f"  {node.message}", "italic")
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def counts(node: NodeCounts) -> str:
    """`3 done, 1 running (40 %), 2 waiting`."""
    parts = []
    for name in _COUNTS:
        if number := getattr(node, name):
            progress = f" ({node.progress:.0%})" if name == "leased" and node.progress is not None else ""
            parts.append(f"{number} {_WORDS.get(name, name)}{progress}")
    return ", ".join(parts)


def elapsed(view: RunView) -> str:
    return terminal.took((view.ended_at or terminal.now()) - view.created_at)
