"""`stoker server gc` and `stoker server usage`: the room that the installation takes."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter

from stoker.cli import exits, terminal
from stoker.cli.options import HERE, Where
from stoker.cli.reach import reached
from stoker.cli.sizes import sized
from stoker.core.words import counted

LOOK_S = 5.0


def gc(*, dry_run: Annotated[bool, Parameter(negative=(), show_default=False)] = False, where: Where = HERE) -> int:
    """Delete artifacts that no run, schedule or graph names, and stored bytes that nothing names.

    Nothing that is younger than 24 hours, or than an attempt that still goes on. If this is interrupted, the server
    goes on.

    Parameters
    ----------
    dry_run: bool
        Only say what would go.
    """
    with reached(where) as here:
        api, call = here.client.api.upkeep, here.client.call
        view = call(api.collect(dry_run=dry_run))
        while view.running:
            view = call(api.collection(LOOK_S))
            if view.running and sys.stderr.isatty():
                terminal.note(f"looked at {counted(view.looked, 'value')}")
    if where.output == "json":
        terminal.document(view)
    else:
        would = "would be deleted" if view.dry_run else "deleted"
        terminal.say(
            f"{would}: {counted(view.artifacts, 'artifact')}, {sized(view.artifact_bytes)}; "
            f"{counted(view.files, 'stored file')}, {sized(view.file_bytes)}"
        )
        if view.error:
            terminal.note(f"it did not come to its end: {view.error}")
    return exits.FAILED if view.error else exits.OK


def usage(*, where: Where = HERE) -> int:
    """Show rows and bytes of each namespace, and the room on the disk. Counts every row: it takes a while."""
    with reached(where) as here:
        view = here.client.call(here.client.api.upkeep.usage())
    if where.output == "json":
        terminal.document(view)
        return exits.OK
    rows = [
        [
            each.name,
            f"{each.runs}" + (f" (+{each.deleting} being deleted)" if each.deleting else ""),
            str(each.tasks),
            sized(each.item_bytes),
            sized(each.log_bytes),
            str(each.artifacts),
            sized(each.artifact_bytes),
        ]
        for each in view.namespaces
    ]
    terminal.table(["NAMESPACE", "RUNS", "TASKS", "ITEMS", "LOGS", "ARTIFACTS", "BYTES"], rows, grow="NAMESPACE")
    terminal.say(f"{sized(view.free_bytes)} of {sized(view.disk_bytes)} are free on the disk of the artifacts")
    return exits.OK
