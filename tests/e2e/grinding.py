"""The grinder on either store, for tests and for `make grind`: on PostgreSQL its nemesis strikes the database too."""

from __future__ import annotations

import math
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from databases import Bouncer, Cluster, has_bouncer
from stoker.selftest.grinder import Report, grind

SEEDS = Path(__file__).with_name("seeds.txt")
ROUND_S = 120.0


def seeds() -> list[tuple[str, int]]:
    """The lines of `seeds.txt`: store and seed."""
    lines = (line.partition("#")[0].split() for line in SEEDS.read_text().splitlines())
    return [(store, int(seed)) for store, seed in filter(None, lines)]


def ground(store: str, folder: Path, seconds: float, seed: int, told: Callable[[str], None] = lambda _: None) -> Report:
    """Grind on a fresh database."""
    if store == "sqlite":
        return grind(folder, seconds, seed, told=told)
    cluster = Cluster(durable=True)
    with pooled(cluster, seed) as url:

        def killed() -> None:
            cluster.kill()
            cluster.start()

        more = {
            "database restarted": lambda: cluster.restart("fast"),
            "database crashed": lambda: cluster.restart("immediate"),
            "database killed": killed,
        }
        return grind(folder, seconds, seed, database=url, more=more, told=told)


@contextmanager
def pooled(cluster: Cluster, seed: int) -> Iterator[str]:
    """A database of a cluster; with every second seed through PgBouncer, where it is on this machine."""
    with cluster:
        database = cluster.create()
        if seed % 2 == 0 or not has_bouncer():
            yield database
            return
        with Bouncer(cluster) as bouncer:
            yield f"{bouncer.url(database)}&pgbouncer=true"


def summary(report: Report) -> str:
    """One line of what was done, and one for each thing that is wrong."""
    runs, blows = sum(report.runs.values()), sum(report.blows.values())
    first = (
        f"seed {report.seed}: {runs} runs, {report.tasks} tasks, {report.executions} executions, "
        f"{report.losses} leases lost, {blows} blows, {report.seconds:.0f} s, {len(report.wrongs)} wrong"
    )
    return "\n".join([first, *map(str, report.wrongs[:20])])


def main(seconds: float) -> int:
    """So many seconds of blows, on both stores in turn, each round with another seed; the end if something is wrong."""
    share = min(seconds / 2, ROUND_S)
    for number in range(math.ceil(seconds / share)):
        store, seed = ("sqlite", "postgres")[number % 2], random.randrange(2**32)
        folder = Path(tempfile.mkdtemp(prefix=f"stoker-grind-{store}-"))
        print(f"{store}: seed {seed}", flush=True)
        report = ground(store, folder / "site", share, seed)
        print(f"{store}: {summary(report)}", flush=True)
        if report.wrongs:
            print(f"kept in {folder}; a line for {SEEDS.name}: {store} {seed}  # {report.wrongs[0].rule}")
            return 1
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
