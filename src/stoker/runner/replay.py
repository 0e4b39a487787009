"""Runs a task once more, here, with what it was given when it ran; compares what it gives. A server is only read."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from stoker.authoring.file import KEY, artifacts
from stoker.authoring.signals import Prune, Requeue
from stoker.authoring.task import running
from stoker.core.graph import KindSpec
from stoker.core.values import NULL
from stoker.core.views import AttemptView, TaskView
from stoker.errors import Conflict, NotFound
from stoker.runner.local import Content, LocalFiles, LocalTask, Say, said, secrets_of
from stoker.runner.outcome import Hide, described
from stoker.runner.redact import Redactor
from stoker.runner.work import Work

MOST_LINES = 40  # of a difference

Ended = Literal["succeeded", "failed", "pruned", "requeued"]
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How an attempt ended. `items`: what it gave. `error`: what it raised, as type and message."""

    how: Ended
    items: Sequence[Any] = ()
    error: str = ""

    @property
    def lines(self) -> list[str]:
        if self.how != "succeeded":
            return [f"{self.how}: {line}" for line in self.error.splitlines() or [""]]
        return [line for item in self.items for line in _pretty(item).splitlines()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What came of it. `recorded` None: that attempt has not ended, or nothing is kept of its end.

    `code`: whether the code here is what ran then. `raised`: what the code raised here, and its `traceback`, in which
    secrets are hidden as they are in what is recorded.
    """

    task: TaskView
    attempt: int
    ended: End
    recorded: End | None
    code: Literal["same", "differs", "unknown"]
    raised: BaseException | None = field(default=None, compare=False)
    traceback: str = field(default="", compare=False)

    @property
    def same(self) -> bool | None:
        """Whether it ended as recorded; None: there is nothing to compare with."""
        return None if self.recorded is None else self.recorded == self.ended

    @property
    def diff(self) -> str:
        """The difference in a few lines: `-` recorded, `+` here."""
        if self.recorded is None or self.same:
            return ""
        found = difflib.unified_diff(self.recorded.lines, self.ended.lines, "recorded", "replayed", n=2, lineterm="")
        lines = list(found)
        more = len(lines) - MOST_LINES
        return "\n".join(lines[:MOST_LINES] + ([f"… {more} more lines"] if more > 0 else []))


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a server keeps of a task. `items`: JSON, with artifacts as they are; empty unless it SUCCEEDED."""

    view: TaskView
    attempt: int
    input: bytes
    items: bytes
    attempts: Sequence[AttemptView]

    def ended(self, content: Callable[[int], Content]) -> End | None:
        """How the attempt ended; None: not yet, or nothing is kept of it."""
        for row in self.attempts:
            if row.attempt == self.attempt and row.outcome in ("failed", "pruned"):
                text = f"{row.type}: {row.message}" if row.type else row.message
                return End(how="failed" if row.outcome == "failed" else "pruned", error=text)
        if self.attempt != self.view.attempt or self.view.state != "SUCCEEDED":
            return None
        return End(how="succeeded", items=[_open(item, content) for item in _decode(self.items)])


def work_for(view: TaskView, works: Mapping[str, Work]) -> Work:
    """The code of a task's kind. NotFound, Conflict: there is none here, or nowhere."""
    if view.kind.startswith("stoker."):
        raise Conflict(
            f"task {view.id} is of the kind {view.kind!r}: the engine settles it, no code runs.",
            code="no_code",
            place=f"tasks/{view.id}",
            remedy="Replay a task that runners run.",
        )
    if view.kind not in works:
        known = ", ".join(map(repr, sorted(works))) or "none"
        raise NotFound(
            f"task {view.id} is of the kind {view.kind!r}, and no node here has that name; there are {known}.",
            code="no_node",
            place=f"tasks/{view.id}",
            remedy="Name the file that has the node.",
        )
    return works[view.kind]


def replay(
    record: Record,
    work: Work,
    files: LocalFiles,
    content: Callable[[int], Content],
    *,
    debug: bool = False,
    say: Say = said,
) -> Replay:
    """Run it in this thread. `debug`: a debugger opens where the code raises."""
    task = LocalTask(record.view, record.attempt, secrets_of(work.kind.secrets, work.kind.name), say)
    task.dump = work.dump
    redactor = Redactor(task.secrets.values())
    raised: BaseException | None = None
    try:
        documents = _called(record, work, files, task)
        if task.given and documents == [NULL]:
            documents = []
        clear = map(redactor.document, task.given + documents)
        items = [_open(_decode(one), lambda number: _content(number, files, content)) for one in clear]
        ended = End(how="succeeded", items=items)
    except (Exception, SystemExit) as error:  # noqa: BLE001  users' code raises what it likes
        if _quit(error):
            raise KeyboardInterrupt from None
        raised, ended = error, _raised(error, redactor.text)
        if debug:
            import pdb  # noqa: T100  what was asked for

            pdb.post_mortem(error.__traceback__)
    finally:
        task.close()
    return Replay(
        task=record.view,
        attempt=record.attempt,
        ended=ended,
        recorded=record.ended(content),
        code=_compared(record.view.source_hash, work.kind),
        raised=raised,
        traceback="" if raised is None else described(raised, redactor.text).traceback,
    )


def _called(record: Record, work: Work, files: LocalFiles, task: LocalTask) -> list[bytes]:
    with artifacts(files), running(task):
        result = work.call(work.arguments(_decode(record.input), task=task))
        if work.is_async:
            result = asyncio.run(_awaited(result))
        return work.dump(result)


async def _awaited(result: Any) -> Any:
    return await result


def _quit(error: BaseException) -> bool:
    """Whether somebody left the debugger."""
    import bdb

    return isinstance(error, bdb.BdbQuit)


def _raised(error: BaseException, hide: Hide) -> End:
    match error:
        case Prune():
            return End(how="pruned", error=hide(str(error.reason)))
        case Requeue():
            return End(how="requeued", error=f"after {error.after_s:g} s")
    info = described(error, hide)
    return End(how="failed", error=f"{info.type}: {info.message}")


def _compared(recorded: str, kind: KindSpec) -> Literal["same", "differs", "unknown"]:
    if not recorded or not kind.source_hash:
        return "unknown"
    return "same" if recorded == kind.source_hash else "differs"


# --- values, with what is in their files ---


def _content(number: int, files: LocalFiles, content: Callable[[int], Content]) -> Content:
    return files.kept[number] if number < 0 else content(number)


def _open(value: Any, content: Callable[[int], Content]) -> Any:
    """The value with what is in each artifact instead of its id: the same bytes are the same file."""
    match value:
        case {"$artifact": int(number)} if len(value) == 1:
            return {KEY: content(number)._asdict()}
        case dict():
            return {name: _open(each, content) for name, each in value.items()}
        case list():
            return [_open(each, content) for each in value]
    return value


def _pretty(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2).decode()
