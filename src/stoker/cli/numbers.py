"""Numbers and durations as people type them: `12`, `run:12`, `task:34`, `5m`."""

from __future__ import annotations

import re
from typing import Literal

from stoker.cli.failure import Usage
from stoker.core.duration import SECOND, micros

Noun = Literal["run", "task", "token"]
_WHERE: dict[Noun, str] = {
    "run": "`stoker runs list` shows them",
    "task": "`stoker runs tasks RUN` shows those of a run",
    "token": "`stoker tokens list` shows them",
}
LARGEST = 2**63 - 1
_STATE = re.compile(r"([1-9]\d{0,18})-([1-9]\d{0,8})(?:-[1-9]\d{0,8})?-[0-9a-f]{16}", re.ASCII)


def id_of(text: str, noun: Noun = "run") -> int:
    """The id in `12` or `run:12`. Usage if it is none."""
    head, colon, number = text.rpartition(":")
    if (colon and head != noun) or not _is_id(number):
        raise Usage(
            f"{text!r} is no id of a {noun}",
            code="bad_id",
            place="ID",
            remedy=_outside(text) or f"Give a number from 1, like 12; {_WHERE[noun]}.",
        )
    return int(number)


def subject_of(text: str) -> tuple[Noun, int]:
    """What `12`, `run:12` or `task:34` names."""
    head, colon, number = text.rpartition(":")
    match head:
        case "run" | "task" if colon and _is_id(number):
            return ("run" if head == "run" else "task"), int(number)
        case "" if not colon and _is_id(number):
            return "run", int(number)
        case _:
            raise Usage(
                f"{text!r} names neither a run nor a task",
                code="bad_id",
                place="ID",
                remedy=_outside(text)
                or f"Write 12 or run:12 for a run, task:34 for a task, schedule:{text or 'NAME'} for a schedule.",
            )


def seconds(text: str | None, place: str) -> float | None:
    """The seconds in `90`, `90s` or `1h30m`; None for None."""
    if text is None:
        return None
    try:
        return micros(float(text) if text.replace(".", "", 1).isdigit() else text) / SECOND
    except ValueError as error:
        raise Usage(str(error), place=place, remedy="Write 90s, 5m or 1h30m.") from None


def pairs(given: list[str], place: str) -> dict[str, str]:
    """`k=v` each."""
    found = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise Usage(f"{place} {text!r} is not k=v", place=place, remedy=f"Write {place} name=value.")
        found[key] = value
    return found


def amounts(given: list[str], place: str) -> dict[str, float]:
    """`k=n` each."""
    found = {}
    for key, value in pairs(given, place).items():
        try:
            found[key] = float(value)
        except ValueError:
            raise Usage(f"{place} {key}={value} is no number", place=place, remedy=f"Write {place} {key}=1.") from None
    return found


def _outside(text: str) -> str:
    """The remedy for a name that another protocol gave to a run or a task: its number. Nothing for other texts."""
    from stoker.core import opaque  # cryptography, which few commands need

    given = text.rpartition(":")[2]
    if run := opaque.number_in(given):
        return f"That is what other protocols call run {run}: write {run}."
    if task := _STATE.fullmatch(given):
        return f"That is a state of Exosphere, attempt {task[2]} of task {task[1]}: `stoker explain task:{task[1]}`."
    return ""


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and 1 <= int(text[:30] or 0) <= LARGEST
