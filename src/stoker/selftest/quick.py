"""The quick check: a small graph of every sort through a server and a runner of its own, and the checker."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stoker.errors import RunError, Unavailable
from stoker.runner.client import Client
from stoker.selftest import checker, gather, work
from stoker.selftest.evidence import Wrong
from stoker.selftest.grinder import started
from stoker.selftest.site import Site

RUN_S = 60.0
TEXT = "what is written is what is read\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A graph, its inputs, and what must come out."""

    name: str
    graph: Any
    inputs: dict[str, Any]
    result: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of a case. `wrong`: empty if it went well."""

    name: str
    tasks: int
    seconds: float
    wrong: str = ""


CASES = (
    Case(name="map and join", graph=work.selftest_map, inputs={"n": 10}, result=285),
    Case(name="nested fan-out", graph=work.selftest_nested, inputs={"n": 5}, result=20),
    Case(name="retry", graph=work.selftest_retry, inputs={"x": 7}, result=7),
    Case(name="tolerated failure", graph=work.selftest_tolerated, inputs={"n": 6}, result=6),
    Case(
        name="artifact",
        graph=work.selftest_artifact,
        inputs={"text": TEXT},
        result=hashlib.sha256(TEXT.encode()).hexdigest(),
    ),
)


def check(
    folder: Path, *, database: str | None = None, told: Callable[[Done], None] = lambda _: None
) -> tuple[list[Done], list[Wrong]]:
    """Run every case; then stop everything and look at the database. `database`: an empty one of PostgreSQL."""
    with Site(folder, database) as site:
        started(site, servers=1, runners=1)
        with site.client(site.servers[0]) as client:
            found = [_told(_run(client, case), told) for case in CASES]
        ended = [Wrong("processes end", what) for what in site.shut()]
        ended += [Wrong("nobody is at a loss", what) for what in site.faults()]
    return found, ended + asyncio.run(_looked(site))


def _run(client: Client, case: Case) -> Done:
    begun = time.monotonic()
    run = client.trigger(case.graph, **case.inputs)
    wrong = ""
    try:
        result = run.result(RUN_S)
        if result != case.result:
            wrong = f"the result is {result!r}, not {case.result!r}"
    except (RunError, TimeoutError, Unavailable) as error:
        wrong = str(error)
    return Done(name=case.name, tasks=run.view().tasks, seconds=time.monotonic() - begun, wrong=wrong)


def _told(done: Done, told: Callable[[Done], None]) -> Done:
    told(done)
    return done


async def _looked(site: Site) -> list[Wrong]:
    executions = gather.executed(site.traces)
    return [wrong async for of in gather.evidence(site.place, executions) for wrong in checker.wrongs(of)]
