"""What a no-op task costs the engine alone: claim and report in this process, no HTTP, with full durability.

`python bench/engine_drain.py [BATCH] [sqlite|postgres]` prints µs and CPU per task (of this process), and the
statements of one report with its hand-off.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

import msgspec
from processes import Cluster

from stoker.bootstrap.engine import opened
from stoker.core.graph import GraphSpec, KindSpec, NodeSpec
from stoker.core.protocol import ClaimRequest, Complete, Item, ReportRequest, RunnerInfo
from stoker.core.views import PushRequest, TriggerRequest

TASKS = 20_000
NOTHING = Item(value=msgspec.Raw(b"null"))
SECRET = "0" * 32


async def main(batch: int, database: str | None) -> None:
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
        async with opened(Path(folder), database=database) as engine:
            graph = GraphSpec(name="single", nodes=(NodeSpec(name="noop", kind="noop"),))
            kind = KindSpec(name="noop", output={"type": "null"})
            await engine.catalog.push("default", PushRequest(graph=graph, kinds=(kind,)))
            for _ in range(TASKS // 500):
                await engine.runs.trigger("default", [TriggerRequest(graph="single")] * 500)
            info = RunnerInfo(name="bench", kinds=["noop"], capacity=batch)
            claim = ClaimRequest(session=SECRET, runner=info, want=batch)
            tasks = (await engine.leases.claim("default", claim, frozenset())).tasks
            statements, wall, cpu, done, calls = engine.store.statements, time.perf_counter(), time.process_time(), 0, 0
            while tasks:
                reports = [Complete(task=task.task, attempt=task.attempt, items=[NOTHING]) for task in tasks]
                request = ReportRequest(session=SECRET, reports=reports, want=batch)
                done, calls = done + len(tasks), calls + 1
                tasks = (await engine.leases.report("default", request)).tasks
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            print(f"{done} tasks in batches of {batch}: {done / wall:,.0f}/s, {wall / done * 1e6:.1f} µs a task,")
            each = (engine.store.statements - statements) / calls
            print(f"{cpu / done * 1e3:.3f} CPU s per 1,000, {each:.1f} statements a batch")


if __name__ == "__main__":
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 256
    if sys.argv[2:] == ["postgres"]:
        with Cluster(durable=True) as cluster:
            asyncio.run(main(size, cluster.create()))
    else:
        asyncio.run(main(size, None))
