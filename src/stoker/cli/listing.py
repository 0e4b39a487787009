"""Runs as they stand in a list: a line for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stoker.cli import terminal

if TYPE_CHECKING:
    from stoker.core.views import RunView


def table_of(runs: Sequence[RunView]) -> str:
    """A line for each run; its tags where any has some."""
    columns = ["RUN", "GRAPH", "STATE", "STARTED", "TOOK"]
    rows = [
        [str(run.id), f"{run.graph} v{run.version}", state_of(run), terminal.ago(run.created_at), took(run)]
        for run in runs
    ]
    if any(run.tags for run in runs):
        columns.append("TAGS")
        rows = [[*row, tags_of(run)] for row, run in zip(rows, runs, strict=True)]
    return terminal.tabled(columns, rows, grow="GRAPH")


def tags_of(view: RunView) -> str:
    return " ".join(f"{name}={value}" for name, value in view.tags.items())


def state_of(view: RunView) -> str:
    return f"{view.state} (stopping)" if view.stopping and view.state == "RUNNING" else view.state


def took(view: RunView) -> str:
    return terminal.took((view.ended_at or terminal.now()) - view.created_at)
