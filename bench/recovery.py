"""`python bench/recovery.py`: how throughput comes back after each fault. Two servers, three runners, one PostgreSQL.

A feeder keeps a backlog of no-op runs; every GAP_S seconds something is killed. What was settled is read from the
database afterwards, second by second: the rate in the seconds before the blow and after it, and how long it was low.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import nodes
import processes  # noqa: F401  puts the tests on the path

from e2e.estate import Estate
from e2e.site import Site, patiently

GAP_S = int(os.environ.get("BENCH_GAP", "12"))
BACKLOG = 4_000
RUNNER = ("runner", "start", str(Path(__file__).parent / "nodes.py"), "--batch-size", "128", "--workers", "2")


class Blow(NamedTuple):
    name: str
    at: float
    before: float
    after: float
    low_s: int


class Load:
    """Keeps runs coming to both servers until told to stop."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._feed)
        self._thread.start()

    def _feed(self) -> None:
        turn = 0
        while not self._stop.is_set():
            turn += 1
            client = self._estate.sites[turn % 2].client
            page = patiently(lambda client=client: client.call(client.api.runs(state="RUNNING", limit=1_000)))
            if page.after is None or turn % 4 == 0:
                patiently(lambda client=client: client.trigger_many("single", [{}] * (BACKLOG // 4)))

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        estate = Estate(Path(folder))
        try:
            blows = suffered(estate)
        finally:
            estate.close()
    print(f"{'blow':<44}{'before':>10}{'after':>10}{'ratio':>8}{'seconds below 95 %':>22}")
    for blow in blows:
        ratio = blow.after / blow.before
        print(f"{blow.name:<44}{blow.before:>10,.0f}{blow.after:>10,.0f}{ratio:>8.2f}{blow.low_s:>22}")
    if "--json" in sys.argv:
        Path(sys.argv[sys.argv.index("--json") + 1]).write_text(json.dumps([blow._asdict() for blow in blows]))


def suffered(estate: Estate) -> list[Blow]:
    here, there = estate.sites
    here.client.push(nodes.single)
    runners = [site.start(*RUNNER) for site in (here, there, there)]
    load = Load(estate)
    begun = time.time_ns()  # only to compare with what the database says of the same clock
    struck: list[tuple[str, float]] = []
    for name, strike in blows_of(estate, runners):
        time.sleep(GAP_S)
        struck.append((name, (time.time_ns() - begun) / 1e9))
        strike()
    time.sleep(GAP_S)
    load.stop()
    rate = settled(estate, begun)
    return [judged(name, at, rate) for name, at in struck]


def blows_of(estate: Estate, runners: list[subprocess.Popen[bytes]]) -> list[tuple[str, Callable[[], object]]]:
    here, there = estate.sites

    def killed_runner(number: int, site: Site) -> None:
        runners[number].kill()
        runners[number] = site.start(*RUNNER)

    nothing: tuple[str, Callable[[], object]] = ("nothing, for comparison", lambda: None)
    return [
        nothing,
        nothing,
        ("a serving process, killed", here.kill_child),
        ("a whole server, killed and started anew", lambda: estate.kill(there)),
        ("a runner, killed and started anew", lambda: killed_runner(0, here)),
        ("PostgreSQL, restarted", lambda: estate.cluster.restart("fast")),
        ("PostgreSQL, killed and started anew", lambda: (estate.cluster.kill(), estate.cluster.start())),
        nothing,
    ]


def settled(estate: Estate, begun: int) -> Counter[int]:
    """How many tasks were settled in each second since the beginning."""
    database = estate.sites[0].settings["STOKER_DATABASE_URL"].split("///")[1].split("?")[0]
    sql = (
        f"SELECT (settled_at - {begun // 1_000}) / 1000000, COUNT(*) FROM task WHERE settled_at IS NOT NULL GROUP BY 1"
    )
    lines = estate.cluster.psql(sql, database=database).splitlines()
    return Counter({int(second): int(count) for second, _, count in (line.partition("|") for line in lines)})


def judged(name: str, at: float, rate: Counter[int]) -> Blow:
    """The medians of the six seconds before and of the last six before the next blow."""
    second = int(at)
    before = statistics.median(rate[second - back] for back in range(1, 7))
    after = statistics.median(rate[second + GAP_S - back] for back in range(1, 7))
    low = sum(rate[later] < 0.95 * before for later in range(second, second + GAP_S))
    return Blow(name, at, before, after, low)


if __name__ == "__main__":
    main()
