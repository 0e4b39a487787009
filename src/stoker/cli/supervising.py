"""The process that `stoker server start` becomes: `python -m stoker.cli.supervising <options>`.

Settings come from its environment, where no other user reads the token. It imports no more than it must.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version

from stoker.api.supervisor import Plan, supervise
from stoker.config import Settings, handed_on
from stoker.errors import StokerError
from stoker.telemetry import lines

FACTORY = "stoker.bootstrap.serving:serving"


def main(argv: Sequence[str]) -> int:
    settings = handed_on()
    told = json.loads(argv[0])
    insecure = bool(told["insecure"])
    announce = _Announcer(settings, insecure=insecure, database=told["database"])
    try:
        code = supervise(plan(settings, insecure=insecure), announce=announce)
    except StokerError as error:
        _show(error)
        return 1
    return min(code, 1)


def plan(settings: Settings, *, insecure: bool) -> Plan:
    return Plan(
        factory=FACTORY,
        arguments=("--insecure",) if insecure else (),
        host=settings.host,
        port=settings.port,
        path_prefix=settings.path_prefix,
        insecure=insecure,
        data=str(settings.data),
        version=version("stoker"),
    )


class _Announcer:
    """Prints what the supervisor says; after its first line, what it serves and how to go on.

    `database`: of PostgreSQL, as people may see it; None: SQLite in the data folder.
    """

    def __init__(self, settings: Settings, *, insecure: bool, database: str | None) -> None:
        self._settings = settings
        self._insecure = insecure
        self._database = database
        self._ready = False

    def __call__(self, line: str) -> None:
        if self._settings.log_format == "json":
            print(lines.line(time.time_ns() / 1e9, "info", "stoker.supervisor", line, {}), flush=True)
            return
        print(line, flush=True)
        if not self._ready:
            self._ready = True
            print("\n".join(self._guide()), flush=True)

    def _guide(self) -> list[str]:
        if self._insecure:
            token = "  token: none is needed (--insecure); only programs on this machine get in"  # noqa: S105
        elif self._settings.token:
            token = "  token: the one from --token, STOKER_TOKEN or the settings file"  # noqa: S105
        else:
            token = f"  token: in {self._settings.data / 'token'}, readable by you alone"
        data = "" if self._settings.data.name == ".stoker" else f" --data {self._settings.data}"
        return [*self._shared(), token, f"  next, in another terminal: stoker runner start FILE{data}"]

    def _shared(self) -> list[str]:
        """What does not lie in the data folder that the first line names."""
        if self._database is None:
            return []
        artifacts = self._settings.artifacts or self._settings.data / "artifacts"
        return [f"  database: {self._database}, artifacts in {artifacts}"]


def _show(error: StokerError) -> None:
    from stoker.cli.failure import lines

    print("\n".join(lines(error)), file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
