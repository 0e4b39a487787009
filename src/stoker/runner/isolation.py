"""Runs an attempt of an isolated node in a process of its own, and survives whatever happens to that process.

The process is a fresh interpreter in its own process group. A stop is first a flag in the child, after half of the
grace SIGTERM (which raises `Cancelled` in user code), at its end SIGKILL. Signals go to the whole group, so that what
user code started ends too.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import selectors
import signal
import subprocess
import sys
from pathlib import Path
from threading import Timer
from typing import Any

import msgspec

from stoker.authoring.task import running
from stoker.core.protocol import Complete, ErrorInfo, Fail, Log, Output, Progress, Report, Stage
from stoker.errors import StokerError
from stoker.runner import frames, outcome
from stoker.runner.execute import Kit, completed, ended, uploaded
from stoker.runner.job import Job
from stoker.runner.origin import Origin, origin_of

TERM_AT = 0.5  # of the grace: what the flag alone may take
LINGER_S = 5.0  # what the process may take to exit once it has given its outcome
_READ = 1 << 16
_utf8 = codecs.getincrementaldecoder("utf-8")


def run_isolated(job: Job, kit: Kit) -> list[Report]:
    """Run an attempt in a process, watching over it from this thread; return last words and outcome, as `run`."""
    if job.stopped is not None:
        return [outcome.stopped(job.key, job.stopped)]
    try:
        with running(job.context):
            report = _Child(job, kit).outcome()
    except Exception as error:  # noqa: BLE001  no process, no pipes, no disk: this attempt fails, the runner lives
        report = outcome.raised(job.key, error, job.hidden)
    return ended(job, report)


class _Child:
    """The process of one attempt."""

    def __init__(self, job: Job, kit: Kit) -> None:
        self._job = job
        self._kit = kit
        self._report: Report | None = None
        self._texts = {name: _utf8(errors="replace") for name in ("stdout", "stderr")}  # reads end inside of letters
        self._sent = 0  # the hardest signal that a stop sent
        self._timers: list[Timer] = []
        origin = origin_of(job.work)
        from_child, self._up = os.pipe()
        self._from_child = open(from_child, "rb", buffering=0)  # noqa: SIM115, PTH123  closed by `outcome`
        try:
            self._process = _spawn(self._up)
        finally:
            os.close(self._up)
        self._send(_begin(job, origin))
        job.on_stop = self._stop
        if job.stopped is not None:  # told while the process started
            self._stop(job.grace_s)

    def outcome(self) -> Report:
        """Serve the child until it ends."""
        try:
            self._serve()
        finally:
            self._job.on_stop = None
            for timer in self._timers:
                timer.cancel()
            code = self._reap()
        if self._report is None:
            self._job.stage = self._stage(code)
            return _crashed(self._job, code)
        if isinstance(self._report, Complete):
            documents = [bytes(item.value) for item in self._report.items]
            return completed(self._job, documents, self._kit)
        return self._report

    def _serve(self) -> None:
        """Read the three pipes until the frames end (the child is done, or dead)."""
        splitter = frames.Splitter()
        process = self._process
        with selectors.DefaultSelector() as selector:
            selector.register(self._from_child, selectors.EVENT_READ, "frames")
            selector.register(_pipe(process.stdout), selectors.EVENT_READ, "stdout")
            selector.register(_pipe(process.stderr), selectors.EVENT_READ, "stderr")
            while True:
                ready = selector.select(0.5)
                open_frames = self._read(selector, ready, splitter)
                if not open_frames or (not ready and self._is_over()):
                    break
            self._read_rest(selector)

    def _read(self, selector: selectors.BaseSelector, ready: list[Any], splitter: frames.Splitter) -> bool:
        """Take what is there. False: the frames have ended."""
        alive = True
        for key, _ in ready:
            data = os.read(key.fd, _READ)
            if not data:
                selector.unregister(key.fileobj)
                alive = alive and key.data != "frames"
            elif key.data == "frames":
                for frame in splitter.feed(data):
                    self._hear(frames.up.decode(frame))
            else:
                self._job.journal.write(key.data, self._texts[key.data].decode(data))
        return alive

    def _read_rest(self, selector: selectors.BaseSelector) -> None:
        """Take what the child printed last, without waiting for grandchildren that keep a pipe open."""
        while ready := [pair for pair in selector.select(0.05) if pair[0].data != "frames"]:
            self._read(selector, ready, frames.Splitter())

    def _hear(self, frame: frames.Up) -> None:
        match frame:
            case Progress():
                self._job.journal.progress(frame.fraction, frame.message)
            case Log():
                self._job.journal.write(frame.stream, frame.text)
            case Output():
                self._job.journal.output(uploaded(self._job, frame, self._kit))
            case frames.Fetch() | frames.Store():
                self._send(self._answer(frame))
            case _:
                self._report = frame

    def _answer(self, question: frames.Fetch | frames.Store) -> frames.Answer:
        try:
            if isinstance(question, frames.Fetch):
                return frames.Answer(path=str(self._kit.access.fetch(question.artifact)))
            stored = self._kit.access.store(Path(question.path), question.name, question.media_type)
            return frames.Answer(artifact=stored)
        except (StokerError, OSError) as error:
            return frames.Answer(error=str(error))

    def _send(self, frame: msgspec.Struct) -> None:
        try:
            _pipe(self._process.stdin).write(frames.pack(frame))
        except (OSError, ValueError):  # it is gone; its exit code says why
            return

    def _stop(self, grace_s: float) -> None:
        self._send(frames.Cancel())
        if grace_s:
            self._later(grace_s * TERM_AT, signal.SIGTERM)
        self._later(grace_s, signal.SIGKILL)

    def _later(self, delay: float, number: int) -> None:
        timer = Timer(delay, self._end, [number])
        timer.daemon = True
        self._timers.append(timer)
        timer.start()

    def _end(self, number: int) -> None:
        if number != signal.SIGTERM or self._sent != signal.SIGKILL:
            self._sent = number
        self._signal(number)

    def _signal(self, number: int) -> None:
        if not self._is_over():
            _quietly(os.killpg, self._process.pid, number)

    def _stage(self, code: int) -> Stage:
        """What of a stop ended a process that said nothing more."""
        if self._sent == signal.SIGKILL and code == -signal.SIGKILL:
            return "killed"
        return "terminated" if self._sent else ""

    def _is_over(self) -> bool:
        """Whether the process has exited, without taking its exit status (its id stays its own until `_reap`)."""
        try:
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True

    def _reap(self) -> int:
        """Wait for the process, end what is left of its group, close the pipes; return the exit code."""
        process = self._process
        _quietly(_pipe(process.stdin).close)
        killer = Timer(LINGER_S if self._report is not None else 0.5, self._signal, [signal.SIGKILL])
        killer.start()
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        killer.cancel()
        _quietly(os.killpg, process.pid, signal.SIGKILL)
        code = process.wait()
        for pipe in (process.stdout, process.stderr, self._from_child):
            _pipe(pipe).close()
        return code


def _spawn(up: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "stoker.runner.isolated", str(up), str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        pass_fds=(up,),
        process_group=0,
    )


def _begin(job: Job, origin: Origin) -> frames.Begin:
    assignment = msgspec.structs.replace(job.assignment, input=msgspec.Raw(bytes(job.input)), input_url="")
    return frames.Begin(
        assignment=assignment,
        module=origin.module,
        file=origin.file,
        name=origin.name,
        path=[str(Path(entry).absolute()) for entry in sys.path],
        deadline=job.context.ends_at,
    )


def _crashed(job: Job, code: int) -> Report:
    task, attempt = job.key
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        message = f"the process of the node ended by {name}"
        if -code == signal.SIGKILL:
            message += " (often the kernel, when memory runs out)"
    else:
        message = f"the process of the node exited with code {code} before it gave a result"
    return Fail(task=task, attempt=attempt, error=ErrorInfo(code="crashed", type="Crashed", message=message))


def _pipe(pipe: Any) -> Any:
    assert pipe is not None
    return pipe


def _quietly(call: Any, *arguments: Any) -> None:
    try:
        call(*arguments)
    except (OSError, ValueError):  # it is gone already, which is what was wanted
        return
