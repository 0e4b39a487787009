"""The graphs that the processes of these tests run.

Every call of `half` leaves a line in $WORK_TRACE; what is told to stop leaves its lines in $WORK_TRACE.stops.
"""

import asyncio
import ctypes
import os
import subprocess
import sys
import time

import stoker


@stoker.node
def spread(n: int) -> list[int]:
    return list(range(n))


@stoker.node(retry=stoker.Retry(5, strategy="fixed", base="100ms"), max_losses=50)
def half(x: int, pause: float, task: stoker.Task) -> float:
    with open(os.environ["WORK_TRACE"], "a") as trace:
        trace.write(f"{task.run} {x} {task.attempt}\n")
    time.sleep(pause)
    return x / 2


@stoker.node(max_losses=50)
def total(xs: list[float]) -> float:
    return sum(xs)


@stoker.graph
def halves(n: int, pause: float):
    return total(half.map(x=stoker.each(spread(n)), pause=pause))


@stoker.node(max_losses=1, requires=stoker.Requirements(labels={"may": "freeze"}))
def hold_the_interpreter(seconds: int) -> str:
    """A C call that keeps the interpreter lock: nothing else of this process runs meanwhile."""
    ctypes.PyDLL(None).sleep(seconds)
    return "done"


@stoker.graph
def holding(seconds: int):
    return hold_the_interpreter(seconds)


@stoker.node(isolation=True, max_losses=1, requires=stoker.Requirements(labels={"may": "isolate"}))
def hold_it_elsewhere(seconds: int) -> str:
    ctypes.PyDLL(None).sleep(seconds)
    return "done"


@stoker.graph
def isolated(seconds: int):
    return hold_it_elsewhere(seconds)


@stoker.node
def wait_for_cancel(task: stoker.Task) -> None:
    while True:
        task.raise_if_cancelled()
        time.sleep(0.02)


@stoker.graph
def endless():
    return wait_for_cancel()


def note(*words: object) -> None:
    """Leave words and the time, by the clock that all processes of this machine share."""
    with open(os.environ["WORK_TRACE"] + ".stops", "a") as trace:
        trace.write(" ".join(map(str, (*words, time.monotonic()))) + "\n")


def a_child() -> int:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid


def look(name: str, task: stoker.Task) -> None:
    note("begun", name, os.getpid())
    while not task.cancelled:
        time.sleep(0.005)
    note("saw", name)
    task.raise_if_cancelled()


async def wait(name: str) -> None:
    note("begun", name, os.getpid())
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        note("saw", name)
        raise


@stoker.node
def threaded(task: stoker.Task) -> None:
    look("threaded", task)


@stoker.node
async def awaiting() -> None:
    await wait("awaiting")


@stoker.node(isolation=True)
def apart(task: stoker.Task) -> None:
    note("child", "apart", a_child())
    look("apart", task)


@stoker.node(isolation=True)
async def awaiting_apart() -> None:
    await wait("awaiting_apart")


@stoker.node(isolation=True, stop_grace="1s")
def never_looking() -> None:
    """It does not look: SIGTERM raises in it after half of the grace."""
    note("child", "never_looking", a_child())
    note("begun", "never_looking", os.getpid())
    try:
        while True:
            time.sleep(0.01)
    except stoker.Cancelled:
        note("saw", "never_looking")
        raise


@stoker.node(isolation=True, stop_grace="1s")
def deaf() -> None:
    """It does not even heed SIGTERM."""
    note("child", "deaf", a_child())
    note("begun", "deaf", os.getpid())
    while True:
        try:
            time.sleep(600)
        except stoker.Cancelled:
            continue


@stoker.graph
def every_sort():
    return threaded(), awaiting(), apart(), awaiting_apart(), never_looking(), deaf()


@stoker.graph
def unhearing():
    return deaf()


@stoker.node
async def keep_busy(n: int) -> None:
    note("begun", f"busy{n}", os.getpid())
    while True:
        sum(range(10_000))
        await asyncio.sleep(0)


@stoker.graph
def busy(numbers: list[int]):
    return keep_busy.map(n=stoker.each(numbers))


@stoker.node(max_losses=50)
def chatty(task: stoker.Task) -> str:
    """The first attempt talks until it is killed, the next one says its last words."""
    if task.attempt > 1:
        print("the last words", end="")
        return "done"
    number = 0
    while True:
        print(f"line {number}")
        number += 1
        time.sleep(0.001)


@stoker.graph
def talking():
    return chatty()
