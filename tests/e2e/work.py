"""The graphs that the processes of these tests run. Every call of `half` leaves a line in $WORK_TRACE."""

import ctypes
import os
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
