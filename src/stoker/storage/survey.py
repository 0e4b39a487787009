"""What a database is and how much of everything it holds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from stoker.core.states import RunState
from stoker.storage.tx import Questions


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """`schema` 0: there are no tables yet. A schema newer than this code is not counted."""

    place: str
    product: str
    version: str
    schema: int
    newest: int
    size: int = 0
    namespaces: int = 0
    graphs: int = 0
    runs: dict[str, int] = field(default_factory=dict)
    tasks: int = 0
    artifacts: int = 0
    artifact_bytes: int = 0
    tokens: int = 0

    def of(self, **changes: Any) -> Survey:
        return replace(self, **changes)


async def counted(reader: Questions, survey: Survey) -> Survey:
    """The same with its rows counted."""
    if not 0 < survey.schema <= survey.newest:
        return survey
    ((namespaces, graphs, tasks, artifacts, size, tokens),) = await reader.rows("survey")
    return survey.of(
        namespaces=namespaces,
        graphs=graphs,
        runs={RunState(state).name: count for state, count in await reader.rows("survey_runs")},
        tasks=tasks,
        artifacts=artifacts,
        artifact_bytes=size,
        tokens=tokens,
    )
