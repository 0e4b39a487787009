"""What the end of user code means: a table from results and exceptions to the report that ends the attempt."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from stoker.authoring.signals import NotRetryable, Prune, Requeue
from stoker.core import protocol
from stoker.core.protocol import STAGES, ErrorInfo, Fail, Release, Report, Stage
from stoker.errors import StokerError
from stoker.runner.journal import clean
from stoker.runner.outbox import Key

MOST_MESSAGE = 8 * 1024
MOST_TRACEBACK = 48 * 1024  # with the message under 64 KiB

_PACKAGES = Path(__file__).parents[2]
_OURS = tuple(f"{_PACKAGES / folder}/" for folder in ("stoker", "heat_runtime"))  # frames that tell a user nothing

Hide = Callable[[str], str]


def _unhidden(text: str) -> str:
    return text


def stopped(key: Key, reason: str, stage: Stage = "") -> Report:
    """The work ended after it was told to stop, one way or another."""
    task, attempt = key
    if reason == "timeout":
        error = ErrorInfo(code="timeout", type="TimeoutError", message=timed_out(stage))
        return Fail(task=task, attempt=attempt, error=error)
    return Release(task=task, attempt=attempt, stage=stage)


def timed_out(stage: Stage) -> str:
    message = "the attempt ran longer than its timeout"
    return f"{message}; {STAGES[stage]}" if stage else message


def raised(key: Key, error: BaseException, hide: Hide = _unhidden) -> Report:
    """The work raised: a signal has its own verb, everything else is a failure. `hide`: takes secrets out of texts."""
    task, attempt = key
    match error:
        case Requeue():
            return protocol.Requeue(task=task, attempt=attempt, after_s=error.after_s)
        case Prune():
            return protocol.Prune(task=task, attempt=attempt, reason=hide(clean(str(error.reason)))[:MOST_MESSAGE])
        case _:
            return Fail(
                task=task, attempt=attempt, error=described(error, hide), retryable=not isinstance(error, NotRetryable)
            )


def refused(key: Key, error: BaseException, hide: Hide = _unhidden) -> Report:
    """The input did not fit: trying again gives the same."""
    info = described(error, hide)
    if info.code == "error":
        info = ErrorInfo(code="invalid_input", type=info.type, message=info.message, traceback=info.traceback)
    return Fail(task=key[0], attempt=key[1], error=info, retryable=False)


def described(error: BaseException, hide: Hide = _unhidden) -> ErrorInfo:
    """Describe an exception with the frames of user code only. Secrets go before a cut could go through one."""
    return ErrorInfo(
        code=error.code if isinstance(error, StokerError) else "error",
        type=hide(_type_name(type(error))),
        message=_shortened(hide(clean(_text(error))), MOST_MESSAGE),
        traceback=_shortened(hide(clean(_traceback(error))), MOST_TRACEBACK),
    )


def _type_name(cls: type[BaseException]) -> str:
    return cls.__qualname__ if cls.__module__ in {"builtins", "__main__"} else f"{cls.__module__}.{cls.__qualname__}"


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001  a user's exception may fail to print itself
        return f"<{type(error).__name__} whose str() failed>"


def _traceback(error: BaseException) -> str:
    """The frames of user code; nothing where none of them is, for then it would only repeat type and message."""
    frames = _user_frames(error.__traceback__)
    if frames is None and error.__cause__ is None and (error.__context__ is None or error.__suppress_context__):
        return ""
    try:
        shown = traceback.TracebackException(type(error), error, frames)
        return "".join(shown.format())
    except Exception:  # noqa: BLE001  as above
        return ""


def _user_frames(tb: TracebackType | None) -> TracebackType | None:
    """Skip the frames that lead into user code."""
    while tb is not None and tb.tb_frame.f_code.co_filename.startswith(_OURS):
        tb = tb.tb_next
    return tb


def _shortened(text: str, most: int) -> str:
    """Keep the head and the tail within `most` bytes: the end of a traceback says what happened."""
    if len(text) * 4 <= most or len(text.encode()) <= most:
        return text
    half = most // 2 - 32
    raw = text.encode()
    return f"{raw[:half].decode(errors='ignore')}\n… cut here …\n{raw[-half:].decode(errors='ignore')}"
