"""The code that the selftest's runners run: small graphs of every sort, and steps that do anything for random graphs.

Each call of user code leaves a line in the file that $SELFTEST_TRACE names, before anything else happens; steps of
random graphs leave another one when they are done. Lines carry the time by the clock that all processes here share.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import stoker
from stoker.selftest import plain as pure

TRACE = "SELFTEST_TRACE"


def leave_trace() -> stoker.Task:
    """Tell that user code begins; gives the task."""
    task = stoker.current_task()
    _trace("begun", task)
    return task


@contextmanager
def at_work() -> Iterator[stoker.Task]:
    """Tell when user code begins, and when it ends in whatever way."""
    task = leave_trace()
    try:
        yield task
    finally:
        _trace("ended", task)


def _trace(what: str, task: stoker.Task) -> None:
    """One short line, appended whole."""
    handle = os.open(os.environ[TRACE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, f"{what} {task.run} {task.id} {task.attempt} {time.monotonic_ns() // 1_000}\n".encode())
    finally:
        os.close(handle)


# --- a graph of every sort ---


@stoker.node
def numbers(n: int) -> list[int]:
    leave_trace()
    return list(range(n))


@stoker.node
def square(x: int) -> int:
    leave_trace()
    return x * x


@stoker.node
def total(xs: list[int]) -> int:
    leave_trace()
    return sum(xs)


@stoker.node(retry=stoker.Retry(3, strategy="fixed", base="100ms"))
def second_try(x: int) -> int:
    if leave_trace().attempt == 1:
        raise RuntimeError("the first attempt fails, the next one does not")
    return x


@stoker.node(tolerated=True)
def even(x: int) -> int:
    leave_trace()
    if x % 2:
        raise stoker.NotRetryable(f"{x} is odd, and that is tolerated")
    return x


@stoker.node
def written(text: str) -> stoker.File:
    path = leave_trace().scratch / "text.txt"
    path.write_text(text)
    return stoker.File(path)


@stoker.node
def digest(file: stoker.File) -> str:
    leave_trace()
    return hashlib.sha256(file.read_bytes()).hexdigest()


@stoker.graph
def selftest_map(n: int) -> Any:
    return total(square.map(x=stoker.each(numbers(n))))


@stoker.graph
def selftest_group(n: int) -> Any:
    return total(square.map(x=stoker.each(numbers(n))))


@stoker.graph
def selftest_nested(n: int) -> Any:
    return total(selftest_group.map(n=stoker.each(numbers(n))))


@stoker.graph
def selftest_retry(x: int) -> Any:
    return second_try(x)


@stoker.graph
def selftest_tolerated(n: int) -> Any:
    return total(even.map(x=stoker.each(numbers(n))))


@stoker.graph
def selftest_artifact(text: str) -> Any:
    return digest(written(text))


# --- steps of random graphs ---

Given = dict[str, Any]  # whatever a graph binds; `gathered` is a list of items


@stoker.node
def step(seed: str, given: Given) -> dict[str, Any]:
    return _done(seed, given)


@stoker.node(isolation=True)
def apart(seed: str, given: Given) -> dict[str, Any]:
    """The same in a process of its own."""
    return _done(seed, given)


@stoker.node
def steps(seed: str, given: Given) -> stoker.Items[dict[str, Any]]:
    with at_work() as task:
        dice = _begun(task, seed)
        width = dice.choice((0, 1, 2, 3) if task.branch.count("[") < 2 else (0, 1))
        return stoker.Items([_item(dice, task, number, given) for number in range(width)])


@stoker.node(name=pure.PLAIN)
def plain(name: str, widths: list[int], seed: str, given: Any) -> dict[str, Any]:
    """A step that makes the same of the same inputs in the end, however often it fails before."""
    with at_work() as task:
        _stumbled(task, seed)
        return pure.item(name, widths, given)


@stoker.node(name=pure.PLAINS)
def plains(name: str, widths: list[int], seed: str, given: Any) -> stoker.Items[dict[str, Any]]:
    with at_work() as task:
        _stumbled(task, seed)
        return stoker.Items(pure.items(name, widths, given))


STEPS = (step, apart, steps, plain, plains)


def _done(seed: str, given: Given) -> dict[str, Any]:
    with at_work() as task:
        return _item(_begun(task, seed), task, 0, given)


def _begun(task: stoker.Task, seed: str) -> Random:
    """Take some time, and perhaps end some other way than well."""
    dice = Random(f"{seed}/{task.id}/{task.attempt}")  # noqa: S311 - draws what happens, protects nothing
    time.sleep(_pause(f"{seed}/{task.id}"))
    match dice.choices(("well", "error", "for good", "prune", "requeue"), (880, 60, 15, 25, 20))[0]:
        case "error":
            raise RuntimeError("drawn: an error")
        case "for good":
            raise stoker.NotRetryable("drawn: an error for good")
        case "prune":
            raise stoker.Prune("drawn: nothing to do")
        case "requeue":
            raise stoker.Requeue(after="200ms")
    return dice


def _stumbled(task: stoker.Task, seed: str) -> None:
    """Take a little time now and then, and fail or step back in some attempts."""
    dice = Random(f"{seed}/{task.id}/{task.attempt}")  # noqa: S311 - as above
    if dice.random() < 0.05:
        time.sleep(dice.choice((0.01, 0.05, 0.5)))
    match dice.choices(("well", "error", "requeue"), (960, 25, 15))[0]:
        case "error":
            raise RuntimeError("drawn: an error, not the last attempt")
        case "requeue":
            raise stoker.Requeue(after="100ms")


def _pause(seed: str) -> float:
    """How long a task takes, in every attempt: a slow one may be at it again when a late report comes."""
    return Random(seed).choices((0.0, 0.01, 0.05, 0.2, 1.5, 6.0), (50, 20, 18, 8, 3, 1))[0]  # noqa: S311 - as above


def _item(dice: Random, task: stoker.Task, number: int, given: Given) -> dict[str, Any]:
    """An item that says whose it is, with parts to fan out over, and what it was given; perhaps large, or a file."""
    depth = task.branch.count("[")
    width = dice.choice(((0, 1, 2, 3, 6), (0, 1, 2, 3), (0, 1, 2))[depth] if depth < 3 else (0, 0, 1))
    found = _output(f"{task.id}/{task.attempt}/{number}", width, given)
    match dice.choices(("plain", "file", "large", "larger"), (930, 45, 20, 5))[0]:
        case "file":
            found |= _file(dice, task, number)
        case "large":
            found["pad"] = "x" * 100_000
        case "larger":
            found["pad"] = "x" * 1_200_000
    return found


def _output(name: str, width: int, given: Given) -> dict[str, Any]:
    found: dict[str, Any] = {"id": name, "parts": [{"id": f"{name}.{part}", "parts": []} for part in range(width)]}
    if "gathered" in given:
        found["of"] = [one.get("id") if isinstance(one, dict) else None for one in given["gathered"]]
    return found


def _file(dice: Random, task: stoker.Task, number: int) -> dict[str, Any]:
    content = dice.randbytes(dice.choice((0, 10, 3_000, 400_000)))
    path = Path(task.scratch) / f"file-{number}.bin"
    path.write_bytes(content)
    return {"file": stoker.File(path), "sha256": hashlib.sha256(content).hexdigest()}
