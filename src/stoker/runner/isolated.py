"""The process of one attempt of an isolated node: `python -m stoker.runner.isolated PIPE PARENT`.

Reads what to run from stdin, runs it in the main thread, writes frames to the pipe. It dies with its parent: stdin
ends, and on Linux the kernel is asked to see to it even when user code never lets another thread run.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import queue
import signal
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from threading import Lock, Thread
from typing import BinaryIO, NoReturn

import msgspec

from stoker.authoring.signals import Cancelled
from stoker.core.protocol import Log, Output, Progress, Report, Stage
from stoker.errors import Unavailable
from stoker.runner import frames, outcome, tracing
from stoker.runner.execute import Kit, kit_of, run, run_async
from stoker.runner.job import Job
from stoker.runner.journal import Journal, Stream, clean
from stoker.runner.origin import Origin, load
from stoker.runner.output import JournalHandler

_PR_SET_PDEATHSIG = 1


def main(up: int, parent: int) -> None:
    _die_with(parent)
    pipe = Pipe(up, os.fdopen(os.dup(0), "rb", buffering=0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    begin = pipe.begin()
    sys.path[:] = begin.path
    for report in _attempt(begin, pipe):
        pipe.send(report)
    tracing.flush()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # threads that user code left behind keep nothing alive


def _attempt(begin: frames.Begin, pipe: Pipe) -> list[Report]:
    key = (begin.assignment.task, begin.assignment.attempt)
    try:
        work = load(Origin(module=begin.module, file=begin.file, name=begin.name))
    except BaseException as error:  # noqa: BLE001  importing user code may raise anything
        return [outcome.raised(key, error)]
    job = Job(begin.assignment, work, PipedJournal(pipe, key), begin.deadline)
    logging.getLogger().addHandler(_handler())
    if logging.getLogger().level == logging.WARNING:
        logging.getLogger().setLevel(logging.INFO)
    pipe.listen(job)
    tracing.join(begin.assignment.traceparent)
    with kit_of(PipedAccess(pipe), spills=False) as kit:
        if work.is_async:
            return kit.context.run(asyncio.run, _cancellable(job, kit))
        signal.signal(signal.SIGTERM, partial(_raise_cancelled, job))
        reports = run(job, kit)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # from here on there is nothing to stop
        return reports


async def _cancellable(job: Job, kit: Kit) -> list[Report]:
    """An async attempt: the word to stop cancels it at once, SIGTERM once more."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(run_async(job, kit))

    def cancel(stage: Stage) -> None:
        job.context.known = True
        job.stage = stage
        task.cancel()

    def told(_grace_s: float) -> None:
        loop.call_soon_threadsafe(cancel, "")

    loop.add_signal_handler(signal.SIGTERM, cancel, "terminated")
    job.on_stop = told
    return await task


def _raise_cancelled(job: Job, *_: object) -> NoReturn:
    job.context.known = True
    job.stage = "terminated"
    raise Cancelled("the runner stopped this attempt")


class Pipe:
    """Both directions. A thread reads what comes down; the end of it is the end of this process."""

    def __init__(self, up: int, down: BinaryIO) -> None:
        self._up = os.fdopen(up, "wb", buffering=0)
        self._down = down
        self._lock = Lock()
        self._asking = Lock()
        self._answers: queue.SimpleQueue[frames.Answer] = queue.SimpleQueue()
        os.set_inheritable(up, False)

    def begin(self) -> frames.Begin:
        body = frames.read(self._down)
        frame = frames.down.decode(body) if body is not None else None
        if not isinstance(frame, frames.Begin):
            sys.exit("stoker.runner.isolated is started by a runner only")
        return frame

    def listen(self, job: Job) -> None:
        Thread(target=self._listen, args=(job,), name="stoker-parent", daemon=True).start()

    def send(self, frame: msgspec.Struct) -> None:
        data = memoryview(frames.pack(frame))
        with self._lock:
            while data:
                data = data[self._up.write(data) :]

    def ask(self, question: frames.Fetch | frames.Store) -> frames.Answer:
        """Ask the runner, and wait for its answer. Unavailable when it could not do it."""
        with self._asking:
            self.send(question)
            answer = self._answers.get()
        if answer.error:
            raise Unavailable(answer.error)
        return answer

    def _listen(self, job: Job) -> None:
        while (body := frames.read(self._down)) is not None:
            frame = frames.down.decode(body)
            if isinstance(frame, frames.Cancel):
                job.stop("cancelled", 0.0)
            elif isinstance(frame, frames.Answer):
                self._answers.put(frame)
        os.killpg(0, signal.SIGKILL)


class PipedJournal(Journal):
    """Passes on at once; the runner gathers and rations."""

    __slots__ = ("_key", "_pipe")

    def __init__(self, pipe: Pipe, key: tuple[int, int]) -> None:
        super().__init__(*key, listener=self, lock=Lock())
        self._pipe = pipe
        self._key = key

    def write(self, stream: Stream, text: str) -> None:
        self._pipe.send(Log(task=self._key[0], attempt=self._key[1], seq=0, text=clean(text), stream=stream))

    def progress(self, fraction: float | None, message: str) -> None:
        self._pipe.send(
            Progress(task=self._key[0], attempt=self._key[1], fraction=fraction, message=clean(message)),
        )

    def output(self, report: Output) -> None:
        self._pipe.send(report)

    def touched(self, journal: Journal) -> None:
        """Nothing waits here."""

    def put(self, reports: Iterable[Report]) -> None:
        """Nor here."""


class PipedAccess:
    """Artifacts through the runner, which has the connection."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe

    def fetch(self, artifact: int) -> Path:
        return Path(self._pipe.ask(frames.Fetch(artifact=artifact)).path)

    def store(self, path: Path, name: str, media_type: str) -> int:
        question = frames.Store(path=str(Path(path).absolute()), name=name, media_type=media_type)
        return self._pipe.ask(question).artifact

    def spill(self, name: str, document: bytes) -> int:
        raise AssertionError(f"{name} ({len(document)} bytes) is uploaded by the runner")


def _handler() -> logging.Handler:
    handler = JournalHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    return handler


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
