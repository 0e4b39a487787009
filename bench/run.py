"""`make bench`: what a task costs through one runner process over HTTP, on either store, with full durability.

Not a test: it asserts no times. The stores take turns, round by round, each round on fresh data; a figure is the median
of ROUNDS rounds. CPU seconds are those of server, runner and database processes together. `BENCH_STORES=sqlite` leaves
the other out.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import nodes
from processes import Cluster, cpu_s, rss_mb, runner, server

import stoker

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
STORES = os.environ.get("BENCH_STORES", "sqlite,postgres").split(",")
DRAIN = 10_000
OPTIONS = ("--batch-size", "256", "--workers", "2")
Figures = dict[str, float]


def main() -> None:
    compare(STORES, one_round)


def compare(stores: Sequence[str], one_round: Callable[[str], Figures]) -> None:
    """Rounds of each store in turn, printed as medians with the least and the most; `--json FILE` keeps the medians."""
    print(f"stoker on {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, all durable")
    rounds: dict[str, list[Figures]] = {store: [] for store in stores}
    for _ in range(ROUNDS):
        for store in stores:
            rounds[store].append(one_round(store))
    names = list(rounds[stores[0]][0])
    width = max(map(len, names))
    print(f"  {'':<{width}}" + "".join(f"{store:>12}   {'(least … most)':<20}" for store in stores))
    for name in names:
        print(f"  {name:<{width}}" + "".join(told([found[name] for found in rounds[store]]) for store in stores))
    if "--json" in sys.argv:
        medians = {store: median(found) for store, found in rounds.items()}
        Path(sys.argv[sys.argv.index("--json") + 1]).write_text(json.dumps(medians, indent=2))


def told(values: list[float]) -> str:
    return f"{statistics.median(values):>12.4g}   " + f"({min(values):.4g} … {max(values):.4g})".ljust(20)


def median(rounds: list[Figures]) -> Figures:
    return {name: statistics.median(found[name] for found in rounds) for name in rounds[0]}


@contextmanager
def database(store: str) -> Iterator[tuple[dict[str, str], tuple[int, ...]]]:
    """What a server is told of its database, and the process whose children work for it."""
    if store == "sqlite":
        yield {}, ()
        return
    with Cluster(durable=True) as cluster:
        yield {"STOKER_DATABASE_URL": cluster.create()}, (cluster.pid,)


def one_round(store: str) -> Figures:
    with (
        tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder,
        database(store) as (settings, trees),
        server(Path(folder), settings) as at,
    ):
        figures = {
            "start: server answers after (s)": at.start_s,
            "memory: supervisor and server, fresh (MB)": rss_mb(at.pids),
        }
        with stoker.Client(at.url, at.token) as client:
            client.push(nodes.single)
            figures |= drained(client, at.pids, trees, lambda: runner(at, *OPTIONS))
            with runner(at, *OPTIONS) as pid:
                busy = (*at.pids, pid)
                client.trigger(nodes.single).result(30)
                figures |= latency(client)
                figures |= chains(client, busy, trees)
                figures |= fan_out(client, 1_000)
                figures |= fan_out(client, 10_000)
                figures |= idle(busy, trees)
        figures["memory: supervisor and server, at the end (MB)"] = rss_mb(at.pids)
        return figures


def drained(
    client: stoker.Client,
    pids: tuple[int, ...],
    trees: tuple[int, ...],
    start: Callable[[], AbstractContextManager[int]],
) -> Figures:
    """W1: 10,000 READY no-op tasks, then one runner process."""
    begun = time.perf_counter()
    handles = []
    for _ in range(DRAIN // 1_000):
        handles += client.trigger_many("single", [{}] * 1_000)
    triggered = time.perf_counter() - begun
    before = cpu_s(pids)
    with start() as pid:
        client.run(handles[0].id).wait(60)
        begun, first_cpu, settled = time.perf_counter(), cpu_s((*pids, pid), trees), succeeded(client)
        client.run(handles[-1].id).wait(120)
        while (now := succeeded(client)) < DRAIN:
            pass
        wall = time.perf_counter() - begun
        used = cpu_s((*pids, pid), trees) - first_cpu
        server_used = cpu_s(pids) - before
    done = now - settled
    return {
        "W1 triggered in batches of 1,000 (runs/s)": DRAIN / triggered,
        "W1 drained no-op tasks (tasks/s)": done / wall,
        "W1 CPU of all processes (s per 1,000 tasks)": used / done * 1_000,
        "W1 CPU of the server alone (s per 1,000 tasks)": server_used / DRAIN * 1_000,
    }


def succeeded(client: stoker.Client) -> int:
    """How many runs have ended: all but those still RUNNING, of which a page is counted."""
    page = client.call(client.api.runs(state="RUNNING", limit=1_000))
    return DRAIN - len(page.items) if page.after is None else 0


def latency(client: stoker.Client) -> Figures:
    """W2: trigger to result of one no-op run on an idle system."""
    took = []
    for _ in range(200):
        begun = time.perf_counter()
        client.trigger("single").result(30)
        took.append((time.perf_counter() - begun) * 1_000)
    took.sort()
    return {"W2 trigger to result, idle: p50 (ms)": took[100], "W2 trigger to result, idle: p99 (ms)": took[197]}


def chains(client: stoker.Client, pids: tuple[int, ...], trees: tuple[int, ...]) -> Figures:
    """W3: 200 chains of 10 steps at once."""
    client.push(nodes.chain)
    before, begun = cpu_s(pids, trees), time.perf_counter()
    client.trigger_many("chain", [{"x": number} for number in range(200)])[-1].wait(60)
    while client.call(client.api.runs(state="RUNNING", limit=1)).items:
        pass
    wall, used = time.perf_counter() - begun, cpu_s(pids, trees) - before
    return {
        "W3 200 chains of 10 (steps/s)": 2_000 / wall,
        "W3 CPU (s per 1,000 steps)": used / 2,
        "W3 one chain of 10 alone: p50 (ms)": statistics.median(one_chain(client) for _ in range(30)),
    }


def one_chain(client: stoker.Client) -> float:
    begun = time.perf_counter()
    client.trigger("chain", x=1).wait(60)
    return (time.perf_counter() - begun) * 1_000


def fan_out(client: stoker.Client, width: int) -> Figures:
    """W4: 1 → width → 1, with the joined list as the last task's input."""
    client.push(nodes.wide)
    begun = time.perf_counter()
    assert client.trigger("wide", n=width).result(120) == width
    return {f"W4 1→{width:,}→1 (s)": time.perf_counter() - begun}


def idle(pids: tuple[int, ...], trees: tuple[int, ...]) -> Figures:
    before = cpu_s(pids, trees)
    time.sleep(5)
    return {"W5 idle, one runner connected (CPU %)": (cpu_s(pids, trees) - before) / 5 * 100}


if __name__ == "__main__":
    main()
