"""Nodes and graphs for the tests of worlds."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pydantic

import stoker


@stoker.node
def numbers(n: int) -> list[int]:
    return list(range(n))


@stoker.node
def square(x: int) -> int:
    return x * x


@stoker.node
async def total(xs: list[int]) -> int:
    await asyncio.sleep(1)
    return sum(xs)


class Halved(stoker.Node):
    class Inputs(pydantic.BaseModel):
        x: float

    class Outputs(pydantic.BaseModel):
        half: float

    async def execute(self) -> Outputs:
        return self.Outputs(half=self.inputs.x / 2)


@stoker.graph
def halved_squares(n: int) -> Any:
    return Halved(x=total(square.map(x=stoker.each(numbers(n)))))["half"]


@stoker.node
def slow(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@stoker.graph
def slowly(seconds: float) -> Any:
    return slow(seconds)


@stoker.node(retry=stoker.Retry(5, strategy="fixed", base="30d"))
def stubborn(until: int, task: stoker.Task) -> int:
    if task.attempt < until:
        raise RuntimeError(f"not at attempt {task.attempt}")
    return task.attempt


@stoker.graph
def stubbornly(until: int) -> Any:
    return stubborn(until)


@stoker.node(timeout="1h")
def bounded(look: float, task: stoker.Task) -> list[Any]:
    """What it is told of its deadline, before and after it has slept."""
    before = task.deadline
    task.progress(0.5, "half way")
    time.sleep(look)
    return [before, task.deadline, task.cancelled]


@stoker.graph
def within(look: float) -> Any:
    return bounded(look)


@stoker.node
def patient(task: stoker.Task) -> str:
    """Goes on until it is told to stop."""
    while not task.cancelled:
        time.sleep(60)
    task.raise_if_cancelled()
    return "never"


@stoker.graph
def patiently() -> Any:
    return patient()
