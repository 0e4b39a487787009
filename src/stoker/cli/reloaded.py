"""The runner's process of `stoker dev`: pushes the graphs of a file and serves its nodes until told to stop.

It ends when its stdin does: its parent is gone then.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from stoker.cli import exits, load, terminal
from stoker.cli.failure import lines
from stoker.cli.inputs import example
from stoker.errors import StokerError

GRACE = "5s"


def main(argv: Sequence[str]) -> int:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _serve(Path(argv[0]))
    except StokerError as error:
        terminal.note("\n".join([*lines(error), "waiting for a change"]))
        return exits.FAILED
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    return exits.OK


def _serve(file: Path) -> None:
    from stoker.runner.client import Client
    from stoker.runner.runner import Runner

    loaded = load.load(file)
    graphs = load.distinct(loaded)
    requests = [load.checked(graph) for graph in graphs]
    runner = Runner([*loaded.nodes, *graphs], name=f"dev-{os.getpid()}", grace=GRACE, verbose=True)
    with Client() as client:
        for request in requests:
            view = client.call(client.api.push(request))
            target = str(file) if len(graphs) == 1 else f"{file}:{view.name}"
            terminal.note(f"  graph {view.name} v{view.version}: stoker run {target}{example(request.graph.inputs)}")
    runner.start()


def _end_with_parent() -> None:
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
