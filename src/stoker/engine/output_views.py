"""Rows of outputs as they are shown."""

from __future__ import annotations

import msgspec

from stoker.core.views import OutputView
from stoker.engine.catalog import when
from stoker.engine.ports import Row
from stoker.engine.versions import Version


def output_view(version: Version, row: Row, most: int) -> OutputView:
    id_, run, node, number, task, attempt, name, created, size, body, current, counts, about = row
    return OutputView(
        id=id_,
        run=run,
        node=version.graph.nodes[node].name,
        number=number,
        name=name,
        task=task,
        attempt=attempt,
        about=about,
        counts=bool(counts),
        current=number == current,
        size=size,
        created_at=when(created),
        value=msgspec.Raw(body) if body is not None and size <= most else msgspec.UNSET,
    )
