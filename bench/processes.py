"""A server and a runner as real processes, with what they cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))
from databases import Cluster  # noqa: E402  a PostgreSQL of one's own, as the tests have it

__all__ = ["Cluster"]
TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class Server:
    url: str
    token: str
    pids: tuple[int, ...]
    start_s: float


@contextmanager
def server(data: Path, settings: dict[str, str] | None = None) -> Iterator[Server]:
    """`stoker server start` on a free port, ready."""
    data.mkdir(parents=True, exist_ok=True)
    begun = time.perf_counter()
    process = _stoker("server", "start", "--port", "0", "--data", str(data), environment=settings)
    try:
        found = _until(lambda: _read(data / "server.json"), process)
        start_s = time.perf_counter() - begun
        pids = (process.pid, *children(process.pid))
        token = (settings or {}).get("STOKER_TOKEN") or (data / "token").read_text().strip()
        yield Server(url=found["url"], token=token, pids=pids, start_s=start_s)
    finally:
        _end(process)


@contextmanager
def runner(at: Server, *options: str) -> Iterator[int]:
    """`stoker runner start bench/nodes.py` against a server; gives its process id."""
    environment = {"STOKER_URL": at.url, "STOKER_TOKEN": at.token}
    process = _stoker("runner", "start", str(HERE / "nodes.py"), *options, environment=environment)
    try:
        yield process.pid
    finally:
        _end(process)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def cpu_s(pids: Sequence[int], trees: Sequence[int] = ()) -> float:
    """User and system seconds that processes have used; of `trees`, their children too, the ended ones included."""
    total = 0
    for pid in [*pids, *trees, *(child for root in trees for child in children(root))]:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except FileNotFoundError:  # it has just ended: its parent counts it from now on
            continue
        total += sum(map(int, fields[11:13] if pid not in trees else fields[11:15]))
    return total / TICK


def rss_mb(pids: Sequence[int]) -> float:
    """Resident memory of processes; shared pages are counted once per process."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _stoker(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "stoker.cli", *arguments]
    return subprocess.Popen(command, env={**os.environ, **(environment or {})}, stdout=subprocess.DEVNULL)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(30)


def _read(path: Path) -> dict[str, str] | None:
    try:
        found: dict[str, str] = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return found


def _until(look, process: subprocess.Popen[bytes]):
    while (found := look()) is None:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        time.sleep(0.005)
    return found
