"""Runs one attempt to its outcome, in a thread or in the loop of user code. Raises nothing that user code raised."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import Context, copy_context
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import msgspec

from stoker.authoring.file import artifacts
from stoker.authoring.task import running
from stoker.core.protocol import SPILL_ITEM, Complete, Item, Output, Release, Report
from stoker.core.values import NULL
from stoker.errors import Invalid
from stoker.runner import outcome
from stoker.runner.job import Job
from stoker.runner.output import JOURNAL
from stoker.runner.redact import Redactor

REDACTED = "an output held a secret of this task, which is *** there now; a node that needs one declares it itself"
MOST_INLINE = 4 * 1024 * 1024  # bytes of one report; what is above goes out as artifacts, largest first


class Access(Protocol):
    """Artifacts, as attempts need them. Every method blocks."""

    def fetch(self, artifact: int) -> Path: ...
    def store(self, path: Path, name: str, media_type: str) -> int: ...
    def spill(self, name: str, document: bytes) -> int:
        """Upload an item's JSON and return the artifact's id."""
        ...


class Kit(msgspec.Struct):
    """What every attempt of a runner shares. `context`: contextvars that user code starts with.

    `spills`: large outputs are uploaded here (not in the process of an isolated node: its runner does it).
    """

    context: Context
    access: Access
    spills: bool = True


@contextmanager
def kit_of(access: Access, *, spills: bool = True) -> Iterator[Kit]:
    """Make the kit of a runner: user code starts in a context in which files go through `access`."""
    context = copy_context()
    scope = artifacts(access)
    context.run(scope.__enter__)
    try:
        yield Kit(context=context, access=access, spills=spills)
    finally:
        context.run(scope.__exit__, None, None, None)


def run(job: Job, kit: Kit) -> list[Report]:
    """Run a sync node here and now; return its last words and its outcome."""
    if job.stopped is not None:
        return [outcome.stopped(job.key, job.stopped)]
    return kit.context.copy().run(_run, job, kit)


def _run(job: Job, kit: Kit) -> list[Report]:
    JOURNAL.set(job.journal)
    try:
        with running(job.context):
            report = _attempt(job, kit)
    except BaseException as error:  # noqa: BLE001  user code may raise anything, SystemExit too
        report = outcome.raised(job.key, error, job.hidden)
    return ended(job, report)


def _attempt(job: Job, kit: Kit) -> Report:
    job.context.give = partial(_give, job, kit)
    try:
        arguments = job.arguments()
    except Exception as error:  # noqa: BLE001  whatever it is, this input does not fit
        return outcome.refused(job.key, error, job.hidden)
    work = job.work
    return completed(job, work.dump(work.call(arguments)), kit)


async def run_async(job: Job, kit: Kit) -> list[Report]:
    """Run an async node in the running loop (in a context of its own); as `run`."""
    if job.stopped is not None:
        return [outcome.stopped(job.key, job.stopped)]
    JOURNAL.set(job.journal)
    try:
        with running(job.context):
            report = await _attempt_async(job, kit)
    except BaseException as error:  # noqa: BLE001  as above; a cancellation ends here because this task ends here
        if isinstance(error, asyncio.CancelledError):
            job.stage = job.stage or "cancelled"
        report = outcome.raised(job.key, error, job.hidden)
    return ended(job, report)


async def _attempt_async(job: Job, kit: Kit) -> Report:
    job.context.give = partial(_give, job, kit)
    try:
        arguments = job.arguments()
    except Exception as error:  # noqa: BLE001  as above
        return outcome.refused(job.key, error, job.hidden)
    return await _completed_async(job, await job.work.call(arguments), kit)


async def _completed_async(job: Job, result: Any, kit: Kit) -> Report:
    """Make the outcome of a result without blocking the loop: where something is uploaded, in a thread."""
    refusing = _Refusing()
    try:
        with artifacts(refusing):
            documents = job.work.dump(result)
    except Exception:
        if not refusing.asked:
            raise
        documents = await asyncio.to_thread(job.work.dump, result)
    if sum(map(len, documents)) <= SPILL_ITEM:
        return completed(job, documents, kit)
    return await asyncio.to_thread(completed, job, documents, kit)


class _Refusing:
    """An access that notes that it was needed, where using it would block."""

    def __init__(self) -> None:
        self.asked = False

    def fetch(self, artifact: int) -> Path:
        self.asked = True
        raise BlockingIOError(f"artifact {artifact} is fetched in a thread")

    def store(self, path: Path, name: str, media_type: str) -> int:
        self.asked = True
        raise BlockingIOError(f"{name} ({media_type}) is uploaded from {path} in a thread")


def _give(job: Job, kit: Kit, value: Any, name: str, number: int) -> None:
    """Send an output of an attempt that goes on."""
    documents: Sequence[bytes] = job.work.dump(value)
    if job.redactor is not None:
        documents = _redacted(job, job.redactor, documents)
    if len(documents) != 1:
        raise Invalid(f"an output is one value, not {len(documents)}", code="invalid_output")
    task, attempt = job.key
    item = Item(value=msgspec.Raw(documents[0]))
    report = Output(task=task, attempt=attempt, number=number, item=item, name=job.hidden(name))
    job.journal.output(uploaded(job, report, kit))


def uploaded(job: Job, report: Output, kit: Kit) -> Output:
    """The same output; one that is too large for a report as an artifact."""
    value = bytes(report.item.value)
    if not kit.spills or len(value) <= SPILL_ITEM:
        return report
    artifact = kit.access.spill(f"{job.assignment.node}-{report.task}-output-{report.number}.json", value)
    return msgspec.structs.replace(report, item=Item(artifact=artifact))


def completed(job: Job, documents: Sequence[bytes], kit: Kit) -> Complete:
    """Make the outcome of a result: what is too large for a report goes out as an artifact first.

    A node that has given outputs and returns None has said it all.
    """
    if job.redactor is not None:
        documents = _redacted(job, job.redactor, documents)
    task, attempt = job.key
    if job.context.given and list(documents) == [NULL]:
        return Complete(task=task, attempt=attempt, items=[])
    if not kit.spills or sum(map(len, documents)) <= SPILL_ITEM:
        return Complete(task=task, attempt=attempt, items=[Item(value=msgspec.Raw(one)) for one in documents])
    large = _too_large(documents)
    name = f"{job.assignment.node}-{task}"
    items = [
        Item(artifact=kit.access.spill(f"{name}-{index}.json", one)) if index in large else Item(value=msgspec.Raw(one))
        for index, one in enumerate(documents)
    ]
    return Complete(task=task, attempt=attempt, items=items)


def _redacted(job: Job, redactor: Redactor, documents: Sequence[bytes]) -> Sequence[bytes]:
    """The documents without the secrets of the attempt; where there was one, the log says so."""
    clear = [redactor.document(document) for document in documents]
    if clear != list(documents):
        job.journal.write("log", f"[stoker: {REDACTED}]\n")
    return clear


def _stopped(job: Job, report: Report) -> Report:
    """The outcome of code that was told to stop: the stage that ended it, unless it was done and never noticed."""
    assert job.stopped is not None
    if isinstance(report, Complete) and not job.context.known and job.stopped != "timeout":
        return report
    stage = job.stage or (report.stage if isinstance(report, Release) else "")
    if not stage and job.context.known:
        stage = "cooperative"
    if job.stopped == "timeout":  # the server had the last word on the attempt already; this one is for people
        job.journal.write("log", f"[stoker: {outcome.timed_out(stage)}]\n")
    return outcome.stopped(job.key, job.stopped, stage)


def _too_large(documents: Sequence[bytes]) -> set[int]:
    """Choose the items to upload: each over the limit, then the largest until the rest fits one report."""
    rest = sum(map(len, documents))
    chosen: set[int] = set()
    for index in sorted(range(len(documents)), key=lambda index: -len(documents[index])):
        if len(documents[index]) <= SPILL_ITEM and rest <= MOST_INLINE:
            break
        chosen.add(index)
        rest -= len(documents[index])
    return chosen


def ended(job: Job, report: Report) -> list[Report]:
    """Put the last words before the outcome; an end after a stop is the stop's."""
    if job.stopped is not None:
        report = _stopped(job, report)
    job.context.close()
    words = job.journal.close()
    return [*words, report] if words else [report]
