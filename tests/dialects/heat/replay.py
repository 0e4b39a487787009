"""The recorded requests of the published client, sent to a server in their order.

`requests.json` has a row for each: method of the client, verb, path, query, body, and what it was called for. Ids are
placeholders, `{project}`: the replayer puts in what the server gave. `shapes.json` says which shape each method reads.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from dialects.heat.served import Answered, Served

HERE = Path(__file__).parent
SHAPES: dict[str, list[str]] = msgspec.json.decode((HERE / "shapes.json").read_bytes())
ENVELOPED = frozenset(SHAPES["envelope"])
BARE = frozenset(SHAPES["bare"])
NAMES: dict[tuple[str, str], str] = {
    ("createDataSource", ""): "datasource",
    ("createRunnerType", ""): "runnertype",
    ("createNodeTemplate", "input"): "input",
    ("createNodeTemplate", "processing"): "processing",
    ("createSessionTemplate", ""): "template",
    ("createSessionTemplateNode", "root"): "root",
    ("createSessionTemplateNode", "child"): "child",
    ("importSessionTemplate", ""): "copy",
    ("createProject", ""): "project",
    ("createSession", ""): "session",
    ("addScenarioInstance", ""): "scenario",
    ("createNodeOutput", ""): "output",
    ("createSessionDimension", "full"): "dimension",
}
"""What the id of an answer is called from then on."""

MISSING = frozenset(
    {
        "no task (404)",
        "name needing escapes",
        "absent (404) -> POST",
        "detail is empty -> POST",
        "$RunnerName",
        "404 is tolerated",
        "404 with failOnMissing",
        "default sample_runner",
    }
)
"""What was asked for what may not be there."""


class Entry(NamedTuple):
    method: str
    verb: str
    path: str
    query: dict[str, Any]
    body: Any
    case: str


def recorded() -> list[Entry]:
    rows = msgspec.json.decode((HERE / "requests.json").read_bytes())
    return [Entry(*row[:5], row[5] if len(row) > 5 else "") for row in rows]


class Replayer:
    """Sends what was recorded, and keeps the ids. `told`: every entry that was sent, with its answer."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self.ids: dict[str, Any] = {"user": 1, "entry": 1, "debugtask": 1073741823}
        self.told: list[tuple[Entry, Answered]] = []

    async def play(self, wanted: Callable[[Entry], bool]) -> None:
        for entry in filter(wanted, recorded()):
            if entry.method == "deleteNodeTemplate":
                await self._tidy()
            await self._send(entry)

    async def _send(self, entry: Entry) -> None:
        answered = await self._served.ask(
            entry.verb,
            entry.path.format_map(self.ids),
            None if entry.body is None else self._filled(entry.body),
            query={name: str(self._filled(value)) for name, value in entry.query.items()},
            role=None if entry.case.startswith("no token") else "system",
        )
        self.told.append((entry, answered))
        if name := NAMES.get((entry.method, entry.case)):
            value = answered.value
            self.ids[name] = (value["template"] if entry.method in ENVELOPED else value)["id"]

    async def _tidy(self) -> None:
        """Remove what the recording leaves behind and still uses what it deletes."""
        for path in ("/api/sessiontemplates/{copy}", "/api/nodetemplates/{input}"):
            answered = await self._served.ask("DELETE", path.format_map(self.ids), role="system")
            assert answered.status == 204, answered

    def _filled(self, value: Any) -> Any:
        match value:
            case str() if value.startswith("{") and value[1:-1] in self.ids:
                return self.ids[value[1:-1]]
            case dict():
                return {name: self._filled(each) for name, each in value.items()}
            case list():
                return [self._filled(each) for each in value]
            case _:
                return value
