"""The code that the selftest's runners run: small graphs of every sort, and steps that do anything for random graphs.

Each call of user code leaves a line in the file that $SELFTEST_TRACE names, before anything else happens.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from random import Random
from typing import Any

import stoker

TRACE = "SELFTEST_TRACE"


def leave_trace() -> stoker.Task:
    """One short line, appended whole; gives the task."""
    task = stoker.current_task()
    handle = os.open(os.environ[TRACE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, f"{task.run} {task.id} {task.attempt}\n".encode())
    finally:
        os.close(handle)
    return task


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
    task, dice = _begun(seed)
    width = dice.choice((0, 1, 2, 3) if task.branch.count("[") < 2 else (0, 1))
    return stoker.Items([_item(dice, task, number, given) for number in range(width)])


@stoker.node
def wide() -> dict[str, Any]:
    """So many elements that a server makes their tasks bit by bit."""
    name = _id(leave_trace(), 0)
    return _output(name, WIDTH, {})


@stoker.node
def narrow(given: Given) -> dict[str, Any]:
    """A step that always works, at once."""
    return _output(_id(leave_trace(), 0), 0, given)


WIDTH = 1_100  # more than a server makes at once
STEPS = (step, apart, steps, wide, narrow)


def _done(seed: str, given: Given) -> dict[str, Any]:
    task, dice = _begun(seed)
    return _item(dice, task, 0, given)


def _begun(seed: str) -> tuple[stoker.Task, Random]:
    """Leave the trace, take some time, and perhaps end some other way than well."""
    task = leave_trace()
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
    return task, dice


def _pause(seed: str) -> float:
    """How long a task takes, in every attempt: a slow one may be at it again when a late report comes."""
    return Random(seed).choices((0.0, 0.01, 0.05, 0.2, 1.5, 6.0), (50, 20, 18, 8, 3, 1))[0]  # noqa: S311 - as above


def _item(dice: Random, task: stoker.Task, number: int, given: Given) -> dict[str, Any]:
    """An item that says whose it is, with parts to fan out over, and what it was given; perhaps large, or a file."""
    depth = task.branch.count("[")
    width = dice.choice(((0, 1, 2, 3, 6), (0, 1, 2, 3), (0, 1, 2))[depth] if depth < 3 else (0, 0, 1))
    found = _output(_id(task, number), width, given)
    match dice.choices(("plain", "file", "large", "larger"), (930, 45, 20, 5))[0]:
        case "file":
            found |= _file(dice, task, number)
        case "large":
            found["pad"] = "x" * 100_000
        case "larger":
            found["pad"] = "x" * 1_200_000
    return found


def _id(task: stoker.Task, number: int) -> str:
    return f"{task.id}/{task.attempt}/{number}"


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
