"""`stoker doctor`: each thing that must be right, on a line of its own, with the remedy."""

from __future__ import annotations

from dataclasses import asdict

from stoker.cli import exits, terminal
from stoker.cli.options import HERE, Where


def doctor(*, where: Where = HERE) -> int:
    """Check this installation, its data folder and its server. Exit code 1 if something fails."""
    from stoker.cli.checks import checks

    found = checks(where)
    if where.output == "json":
        terminal.document([asdict(check) for check in found])
    else:
        terminal.table(
            ["", "CHECK", "FOUND"],
            [[one.status, one.name, _told(one.found, one.remedy)] for one in found],
            grow="FOUND",
        )
    return exits.FAILED if any(one.status == "fail" for one in found) else exits.OK


def _told(found: str, remedy: str) -> str:
    return f"{found}\n-> {remedy}" if remedy else found
