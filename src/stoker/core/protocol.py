"""What a runner and a server say to each other: the shapes of claim and report, shared by both sides.

Two calls make a runner (`docs/reference/runner-protocol.md`):

* `POST /v1/namespaces/{ns}/claims`: long-poll for work. It is always held open, at capacity with `want` 0, because
  cancels arrive on it and because its closing tells the server that the runner is gone.
* `POST /v1/namespaces/{ns}/reports`: outcomes, progress, logs and the beat, and in the same breath the next work.

Times are seconds. `session` is the process's secret of 32 hex digits, made at start and sent with every call.
"""

from __future__ import annotations

from typing import Literal

import msgspec

BEAT_S = 5.0  # a session with leases reports at least this often
LEASE_S = 20.0  # and loses them this long after its last beat
GRACE_S = 30.0  # what an attempt has to end after a stop
INLINE_INPUT = 64 * 1024  # bytes; a larger input is fetched from its `input_url`
SPILL_ITEM = 1024 * 1024  # bytes; a larger output is uploaded as an artifact first
MAX_BODY = 8 * 1024 * 1024  # bytes of one request
LOG_CHUNK = 64 * 1024  # bytes of one log report
LOG_TASK = 10 * 1024 * 1024  # bytes of log kept per task

ABSENT = msgspec.Raw(b"")  # no JSON here; only this very object is left out when a message is encoded


class _Wire(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    pass


class RunnerInfo(_Wire, frozen=True):
    """What a runner offers. `capacity` is how many tasks it holds at once.

    `digests`: what its kinds are, by name (`core/digest.py`); `explain` names a runner whose kind is another one.
    """

    name: str
    kinds: list[str]
    labels: dict[str, str] = {}
    resources: dict[str, float] = {}
    capacity: int = 1
    version: str = ""
    digests: dict[str, str] = {}


class Held(_Wire, frozen=True, array_like=True):
    """A lease the runner knows it has: `[task, attempt]`."""

    task: int
    attempt: int


class ClaimRequest(_Wire, frozen=True):
    """`want`: tasks at most. `wait_s`: how long to hold the call open. `read`: the highest answer number received.

    `held`: every attempt whose report is unanswered; a lease from an answer up to `read` that is not listed is
    released. None says nothing about leases (nothing is released). `alone`: no other call that may bring tasks is on
    its way, so every lease made before this call that is not listed is released, whatever the number of its answer
    (that answer was lost). A session may have more than one claim open; only the newest asks for tasks.
    """

    session: str
    runner: RunnerInfo
    want: int
    wait_s: float = 0.0
    read: int = 0
    held: list[Held] | None = None
    alone: bool = False


class Assignment(_Wire, frozen=True):
    """One task to run. `input` is a JSON object; absent: GET `input_url` (same session).

    `traceparent`: the span that an attempt stands below, as W3C writes it; empty if there is none.
    `secrets`: those that its kind declares and that are set. Nothing that the runner says may hold their values.
    """

    task: int
    attempt: int
    run: int
    node: str
    kind: str
    branch: str = ""
    input: msgspec.Raw = ABSENT
    input_url: str = ""
    timeout_s: float | None = None
    failures: int = 0
    traceparent: str = ""
    secrets: dict[str, str] = {}


class Stop(_Wire, frozen=True):
    """Stop working on this attempt. `grace_s`: after this the lease ends in any case."""

    task: int
    attempt: int
    reason: Literal["cancelled", "timeout", "stale"] = "cancelled"
    grace_s: float = GRACE_S


class ClaimAnswer(_Wire, frozen=True):
    """`number` counts the answers of a session that carry tasks. `lease_s`: seconds the leases last from now on."""

    number: int = 0
    session_id: int = 0
    lease_s: float = LEASE_S
    tasks: list[Assignment] = []
    stop: list[Stop] = []


class ErrorInfo(_Wire, frozen=True):
    """A failure as it is kept: `code` for machines, `type` and `message` for people, the remote `traceback`."""

    message: str
    code: str = "error"
    type: str = ""
    traceback: str = ""


class Item(_Wire, frozen=True):
    """One output of a task: JSON as sent, or the id of an artifact that holds it (media type `application/json`)."""

    value: msgspec.Raw = ABSENT
    artifact: int | None = None


class Complete(_Wire, frozen=True, tag="complete", tag_field="verb"):
    task: int
    attempt: int
    items: list[Item]


class Fail(_Wire, frozen=True, tag="fail", tag_field="verb"):
    """`retryable` False: no retry, whatever the policy says."""

    task: int
    attempt: int
    error: ErrorInfo
    retryable: bool = True


class Requeue(_Wire, frozen=True, tag="requeue", tag_field="verb"):
    """Offer the task again after a delay; spends nothing."""

    task: int
    attempt: int
    after_s: float = 0.0


class Prune(_Wire, frozen=True, tag="prune", tag_field="verb"):
    """End the task without items; nothing below it happens. `data`: kept with it as it is, instead of a reason."""

    task: int
    attempt: int
    reason: str = ""
    data: msgspec.Raw = ABSENT


Stage = Literal["", "cooperative", "cancelled", "terminated", "killed"]

STAGES: dict[Stage, str] = {
    "cooperative": "its code was told to stop and ended by itself",
    "cancelled": "its code was told to stop and ended by asyncio's CancelledError",
    "terminated": "its code was told to stop and its process ended after SIGTERM",
    "killed": "its code was told to stop and its process ended by SIGKILL",
}


class Release(_Wire, frozen=True, tag="release", tag_field="verb"):
    """Hand the task back, unstarted or undone; spends nothing. Confirms a cancel if one was requested.

    `stage`: what it took to end code that had been told to stop; empty if it had not begun, or was not told.
    """

    task: int
    attempt: int
    stage: Stage = ""


class Progress(_Wire, frozen=True, tag="progress", tag_field="verb"):
    """`fraction` 0..1 or None; replaces what was there."""

    task: int
    attempt: int
    fraction: float | None = None
    message: str = ""


class Log(_Wire, frozen=True, tag="log", tag_field="verb"):
    """A chunk of captured output; `seq` counts the chunks of an attempt from 0, so a repeat is kept once."""

    task: int
    attempt: int
    seq: int
    text: str
    stream: Literal["log", "stdout", "stderr"] = "log"


class Output(_Wire, frozen=True, tag="item", tag_field="verb"):
    """An output of an attempt of a live run that goes on; it becomes the node's current one when the attempt completes.

    `number` counts the outputs of an attempt from 1, so a repeat is kept once. `name`: what it is, if it has one.
    """

    task: int
    attempt: int
    number: int
    item: Item
    name: str = ""


Report = Complete | Fail | Requeue | Prune | Release | Progress | Log | Output
ASIDE = (Progress, Log, Output)  # what is said while an attempt goes on


class ReportRequest(_Wire, frozen=True):
    """`want`: tasks wanted in the answer. Empty `reports`: a plain beat. `read`, `held`, `alone` as in ClaimRequest."""

    session: str
    reports: list[Report] = []
    want: int = 0
    read: int = 0
    held: list[Held] | None = None
    alone: bool = False


class Receipt(_Wire, frozen=True):
    """What became of one report.

    `accepted`; `stale` (the attempt is no longer current, nothing was changed); `invalid` (the output breaks the
    kind's schema or a limit: the attempt was failed with `invalid_output`); `refused` (no such task, or not yours).
    """

    status: Literal["accepted", "stale", "invalid", "refused"]
    message: str = ""


class ReportAnswer(_Wire, frozen=True):
    """One receipt per report, in order; then as in ClaimAnswer. `unknown_session`: claim again first."""

    receipts: list[Receipt] = []
    number: int = 0
    lease_s: float = LEASE_S
    tasks: list[Assignment] = []
    stop: list[Stop] = []
    unknown_session: bool = False
