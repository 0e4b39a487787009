"""What one attempt says while it runs: captured output and progress, gathered and rationed.

A task that says nothing costs nothing here but the object. Text is cut into chunks of at most 64 KiB, sent at most
once a second for each stream, and ends with a mark after 10 MiB. The last words go out with the outcome.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from threading import Lock
from typing import Literal, Protocol

from stoker.core.log import TASK_CUT
from stoker.core.protocol import LOG_CHUNK, LOG_TASK, Log, Output, Progress, Report
from stoker.runner.redact import Redactor

Stream = Literal["log", "stdout", "stderr"]
STREAMS: tuple[Stream, ...] = ("log", "stdout", "stderr")

LOG_EVERY_S = 1.0
PROGRESS_EVERY_S = 0.5
GATHER_S = 0.2  # what is said first waits a moment for what follows
NEVER = float("inf")


class Redacted(str):
    """Text without secrets, that waits to be sent."""

    __slots__ = ()


class Listener(Protocol):
    """Hears, from any thread, that a journal has something to say, and outputs at once."""

    def touched(self, journal: Journal) -> None: ...
    def put(self, reports: Iterable[Report]) -> None: ...


class Journal:
    """Written by user code in any thread, read by the loop (`flush`) and once at the end (`close`).

    `redactor`: takes the secrets of the attempt out of all that is said, if it has any.
    """

    __slots__ = (
        "_attempt", "_closed", "_listener", "_lock", "_log_at", "_pieces",
        "_progress", "_progress_at", "_seq", "_size", "_task", "_touched", "redactor",
    )  # fmt: skip

    def __init__(self, task: int, attempt: int, listener: Listener, lock: Lock) -> None:
        self._task = task
        self._attempt = attempt
        self._listener = listener
        self._lock = lock  # shared by all journals of a runner: taken rarely and briefly
        self._pieces: deque[tuple[Stream, str]] | None = None
        self._progress: Progress | None = None
        self._log_at = 0.0
        self._progress_at = 0.0
        self._size = 0
        self._seq = 0
        self._closed = False
        self._touched = False
        self.redactor: Redactor | None = None

    def echoed(self, stream: Stream, text: str) -> str:
        """The text as it may be shown here as well, and that which was held back before it."""
        if self.redactor is None:
            return text
        with self._lock:
            return self.redactor.piece(f"{stream} here", text, last=text.endswith("\n"))

    def write(self, stream: Stream, text: str) -> None:
        """Keep a piece of output; after the limit, only the mark that it was cut."""
        if not text:
            return
        with self._lock:
            if self._closed or self._size > LOG_TASK:
                return
            if self._pieces is None:
                self._pieces = deque()
            size = len(text) if text.isascii() else len(text.encode(errors="replace"))
            if self._size + size > LOG_TASK:
                self._pieces += [(stream, cut(clean(text), LOG_TASK - self._size)[0]), ("log", TASK_CUT)]
                self._size = LOG_TASK + 1
            else:
                self._pieces.append((stream, text))
                self._size += size
        self._touch()

    def progress(self, fraction: float | None, message: str) -> None:
        """Keep the newest progress."""
        message = clean(message if self.redactor is None else self.redactor.text(message))
        progress = Progress(task=self._task, attempt=self._attempt, fraction=fraction, message=message)
        with self._lock:
            if self._closed:
                return
            self._progress = progress
        self._touch()

    def output(self, report: Output) -> None:
        """Pass an output on; none is left out, and all come before the outcome."""
        if not self._closed:
            self._listener.put([report])

    def due(self, now: float) -> float:
        """Return when `flush` has something to give, if nothing more is said."""
        log = max(now + GATHER_S, self._log_at + LOG_EVERY_S) if self._pieces else NEVER
        progress = max(now, self._progress_at + PROGRESS_EVERY_S) if self._progress else NEVER
        return min(log, progress)

    def flush(self, now: float) -> list[Log | Progress]:
        """Take what may be sent now: the newest progress, and a chunk of each stream."""
        reports: list[Log | Progress] = []
        with self._lock:
            if self._closed:
                return reports
            if self._progress is not None and now >= self._progress_at + PROGRESS_EVERY_S:
                reports.append(self._progress)
                self._progress = None
                self._progress_at = now
            if self._pieces and now >= self._log_at + LOG_EVERY_S:
                reports += self._chunks(whole=False)
                self._log_at = now
            self._touched = bool(self._pieces) or self._progress is not None
        return reports

    def close(self) -> list[Log]:
        """Take all the output that is left; what is said later is lost, and so is a progress: the outcome says more."""
        with self._lock:
            self._closed = True
            return self._chunks(whole=True) if self._pieces or self._held() else []

    def _held(self) -> list[Stream]:
        """The streams whose end may be the beginning of a secret."""
        return [stream for stream in STREAMS if self.redactor is not None and stream in self.redactor.held]

    def _touch(self) -> None:
        if not self._touched:
            self._touched = True
            self._listener.touched(self)

    def _chunks(self, *, whole: bool) -> list[Log]:
        """Take the pieces as chunks by stream, each stream in order; not `whole`: leave what is over one chunk."""
        texts: dict[Stream, list[str]] = {}
        pieces, self._pieces = self._pieces or (), None
        for stream, text in pieces:
            texts.setdefault(stream, []).append(text)
        if whole:
            texts.update({stream: [] for stream in self._held() if stream not in texts})
        logs: list[Log] = []
        for stream, parts in texts.items():
            rest = clean("".join(parts)) if self.redactor is None else self._redacted(stream, parts, last=whole)
            while rest:
                chunk, rest = cut(rest, LOG_CHUNK)
                logs.append(Log(task=self._task, attempt=self._attempt, seq=self._seq, text=chunk, stream=stream))
                self._seq += 1
                if not whole:
                    break
            if rest:
                self._pieces = self._pieces or deque()
                self._pieces.append((stream, rest if self.redactor is None else Redacted(rest)))
        return logs

    def _redacted(self, stream: Stream, parts: list[str], *, last: bool) -> str:
        """What may be sent of a stream; what was left over from before stands first, and has been through this."""
        assert self.redactor is not None
        done = "".join(part for part in parts if isinstance(part, Redacted))
        rest = clean("".join(part for part in parts if not isinstance(part, Redacted)))
        return done + self.redactor.piece(stream, rest, last=last)


def clean(text: str) -> str:
    """Return the text as JSON can carry it: lone surrogates become question marks."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def cut(text: str, most: int) -> tuple[str, str]:
    """Split off a head of at most `most` bytes of UTF-8, never inside a character."""
    if len(text) <= most and (text.isascii() or len(text.encode()) <= most):
        return text, ""
    head = text[:most].encode()[:most].decode(errors="ignore")
    return head, text[len(head) :]
