"""`make bench-exosphere`: what the published SDK of Exosphere gets out of a server, and what that costs the server.

Not a test: it asserts no times. One stock Runtime (8 workers, batches of 32), in a process of its own, as is what
triggers; nothing of the SDK is patched: executions are noted by the node, what was delivered is read from the SDK's own
log. Rounds and medians are those of `run.py`; `BENCH_STORES=postgres` takes the other database.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from exosphere_place import Place, place, until
from processes import cpu_s
from run import Figures, compare

STORES = os.environ.get("BENCH_STORES", "sqlite").split(",")
RUNS = 1_000
SAMPLES = 30
BETWEEN_S = 1.3  # the poller sleeps for a second after it was given something, and waits at the server after that
CALLS = 500
EMPTY = b'{"nodes": ["Noop"], "batch_size": 0}'


def main() -> None:
    compare(STORES, one_round)


def one_round(store: str) -> Figures:
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
        figures: Figures = {}
        with place(Path(folder) / "stock", store) as stock:
            figures |= latency(stock)
            figures |= triggered(stock)
            figures |= drained(stock, "poll 1", 1.0)
            stock.tell(str(RUNS))
            figures |= drained(stock, "poll 0.05", 0.05)
            figures |= connections(stock)
        with place(Path(folder) / "raised", store, STOKER_EXOSPHERE_OVERDELIVER="32") as raised:
            raised.tell(str(RUNS))
            figures |= drained(raised, "poll 1, overdeliver 32", 1.0)
            raised.tell(str(RUNS))
            figures |= drained(raised, "poll 0.05, overdeliver 32", 0.05)
        return figures


def latency(at: Place) -> Figures:
    """E1: from before the trigger's request to the first line of `execute`, with a poller that waits at the server."""
    with at.runtime(1.0) as (left, process):
        took = []
        for number in range(1, SAMPLES + 1):
            time.sleep(BETWEEN_S)
            begun = at.tell("1")
            until(lambda number=number: len(left.executions()) == number, process)
            took.append((left.executions()[-1] - begun) * 1_000)
    took.sort()
    return {
        "E1 trigger to execute, poll 1, waiting: p50 (ms)": statistics.median(took),
        "E1 trigger to execute, poll 1, waiting: the worst (ms)": took[-1],
        "E1 calls that brought nothing": left.delivered().count(0),
    }


def triggered(at: Place) -> Figures:
    before, begun = at.cpu_s(), time.perf_counter()
    at.tell(str(RUNS))
    wall = time.perf_counter() - begun
    return {
        "E2 triggered one after the other (runs/s)": RUNS / wall,
        "E2 CPU of the server (s per 1,000 triggers)": (at.cpu_s() - before) / RUNS * 1_000,
    }


def drained(at: Place, name: str, poll_s: float) -> Figures:
    """E2: 1,000 runs of one state wait; then one Runtime. From its first execution to its last."""
    before = at.cpu_s()
    with at.runtime(poll_s) as (left, process):
        until(lambda: left.reported() >= RUNS, process)
        used, sdk = at.cpu_s() - before, cpu_s((process.pid,))
        times, batches = left.executions(), [count for count in left.delivered() if count]
    return {
        f"E2 {name}: states/s": len(times) / (max(times) - min(times)),
        f"E2 {name}: CPU of the server (s per 1,000 states)": used / len(times) * 1_000,
        f"E2 {name}: CPU of the SDK (s per 1,000 states)": sdk / len(times) * 1_000,
        f"E2 {name}: calls that brought states": len(batches),
        f"E2 {name}: states in the first of them": batches[0],
        f"E2 {name}: states in the median one": statistics.median(batches),
    }


def connections(at: Place) -> Figures:
    """E3: an enqueue that wants nothing, on a connection of its own as the SDK makes them, and on one that is kept."""
    place = urlsplit(at.at.url).netloc
    headers = {"x-api-key": at.at.token, "content-type": "application/json"}

    def called(connection: HTTPConnection) -> None:
        connection.request("POST", "/v0/namespace/bench/states/enqueue", EMPTY, headers)
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["count"]) == (200, 0)

    before, begun = at.cpu_s(), time.perf_counter()
    for _ in range(CALLS):
        fresh = HTTPConnection(place)
        called(fresh)
        fresh.close()
    wall, used = time.perf_counter() - begun, at.cpu_s() - before
    kept = HTTPConnection(place)
    before = at.cpu_s()
    for _ in range(CALLS):
        called(kept)
    again = at.cpu_s() - before
    kept.close()
    return {
        "E3 empty enqueue, new connection (ms)": wall / CALLS * 1_000,
        "E3 empty enqueue, new connection: CPU of the server (ms)": used / CALLS * 1_000,
        "E3 empty enqueue, same connection: CPU of the server (ms)": again / CALLS * 1_000,
    }


if __name__ == "__main__":
    main()
