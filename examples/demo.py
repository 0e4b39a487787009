"""`make demo`: a graph on real data, as real processes, with the runner killed in the middle of it.

Starts a server and a runner, runs `seattle.py` on the weather table that the package `vega_datasets` ships, kills the
runner with SIGKILL, starts another, and compares the result with sums computed here by other means.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from seattle import seattle
from table import table

import stoker
from stoker.core.views import NodeCounts, RunView

HERE = Path(__file__).parent
DATA = Path(os.environ.get("STOKER_DEMO_DATA", ".demo"))
T = TypeVar("T")


def main() -> int:
    data = table()
    shutil.rmtree(DATA, ignore_errors=True)
    DATA.mkdir(parents=True)
    say(f"data: {data.name}, {data.stat().st_size:,} bytes of daily measurements")
    server = start("server", "start", "--port", "0", "--data", str(DATA))
    runners: list[subprocess.Popen[bytes]] = []
    try:
        found = wait_for(lambda: read(DATA / "server.json"), "the server to start")
        url, token = found["url"], (DATA / "token").read_text().strip()
        say(f"server: {url} (pid {server.pid}), data in {DATA}/")
        runners.append(start_runner("first", url, token))
        with stoker.Client(url, token) as client:
            return watch(client, client.trigger(seattle, table=stoker.File(data)), runners, url, token, data)
    finally:
        for process in [*runners, server]:
            stop(process)


def watch(
    client: stoker.Client,
    run: stoker.RunHandle,
    runners: list[subprocess.Popen[bytes]],
    url: str,
    token: str,
    data: Path,
) -> int:
    say(f"run {run.id} of graph 'seattle' is triggered")
    wait_for(lambda: settled(run.view()) >= 8, "some months to be summed", tell=lambda: line(run.view()))
    runners[0].kill()
    runners[0].wait()
    say(f"SIGKILL to the runner (pid {runners[0].pid}) in the middle: {line(run.view())}")
    runners.append(start_runner("second", url, token))
    wait_for(lambda: run.view().state != "RUNNING", "the run to end", tell=lambda: line(run.view()), timeout=120)
    result = run.result()
    lost = [task for task in client.call(client.api.tasks(run.id, limit=1000)).items if task.losses]
    say(f"the second runner finished it; {len(lost)} lost task(s) were offered again")
    say("result: " + json.dumps(result, indent=2))
    expected = sums(data)
    if result != expected:
        say(f"WRONG: an independent computation gives {expected}")
        return 1
    say("an independent computation gives the same totals")
    say("look further, with the server stopped or running:")
    for command in (f"runs get {run.id}", f"explain run:{run.id}", f"runs list --data {DATA}"):
        print(f"    .venv/bin/stoker {command}" + ("" if "--data" in command else f" --data {DATA}"))
    return 0


def sums(data: Path) -> dict[str, float | None]:
    """The same totals, column by column over the whole table."""
    with data.open() as lines:
        rows = list(csv.reader(lines))
    columns = dict(zip(rows[0], zip(*rows[1:], strict=True), strict=True))
    found: dict[str, float | None] = {}
    for name in sorted(columns):
        try:
            found[name] = round(sum(float(value) for value in columns[name]), 1)
        except ValueError:
            found[name] = None
    return found


def settled(view: RunView) -> int:
    return sum(node.succeeded for node in view.nodes if node.node == "totals")


def line(view: RunView) -> str:
    def show(node: NodeCounts) -> str:
        live = f" (+{node.leased} leased)" if node.leased else ""
        return f"{node.node} {node.succeeded}{live}"

    return f"{view.state}: " + ", ".join(show(node) for node in view.nodes)


def start_runner(name: str, url: str, token: str) -> subprocess.Popen[bytes]:
    process = start("runner", "start", str(HERE / "seattle.py"), "--name", name, STOKER_URL=url, STOKER_TOKEN=token)
    say(f"runner '{name}' (pid {process.pid}) starts")
    return process


def start(*arguments: str, **environment: str) -> subprocess.Popen[bytes]:
    log = (DATA / "demo.log").open("ab")
    command = [sys.executable, "-m", "stoker.cli", *arguments]
    return subprocess.Popen(command, env={**os.environ, **environment}, stdout=log, stderr=log)


def stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        process.wait(30)


def read(path: Path) -> dict[str, str] | None:
    try:
        found: dict[str, str] = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return found


def wait_for(
    look: Callable[[], T | None], what: str, *, tell: Callable[[], str] | None = None, timeout: float = 60
) -> T:
    ends, told = time.monotonic() + timeout, ""
    while not (found := look()):
        if time.monotonic() > ends:
            raise SystemExit(f"waited {timeout:g} s for {what}, in vain; see {DATA}/demo.log")
        if tell is not None and (now := tell()) != told:
            told = now
            say(told)
        time.sleep(0.2)
    return found


_BEGUN = time.monotonic()


def say(text: str) -> None:
    print(f"[{time.monotonic() - _BEGUN:5.1f} s] {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
