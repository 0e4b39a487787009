"""The manifest of a run: what it was made of, what each task was given and gave, as a chain of lines of canonical JSON.

A line is one JSON object: keys in order, no white space, UTF-8. Its `hash` is the SHA-256, in hex, of the line without
`hash`; its `before` is the hash of the line before it, empty in the first. So the last hash stands for all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

import msgspec

from stoker.core.values import decoded

KEY = "$artifact"


class _Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    pass


class FileEntry(_Part, frozen=True):
    """An artifact that a value names."""

    artifact: int
    name: str
    size: int
    sha256: str


class Content(_Part, frozen=True):
    """A value. `sha256`: of its bytes. `content`: of its canonical JSON with what is in files instead of their ids, so
    that it is the same in two runs where the values are."""

    size: int
    sha256: str
    content: str
    files: list[FileEntry] = []


class Named(_Part, frozen=True):
    name: str
    value: Content


class KindEntry(_Part, frozen=True):
    name: str
    source_hash: str
    schemas: str


class Head(_Part, frozen=True):
    """The run itself. `manifest`: 1, the form of all of this. Times are microseconds since 1970, UTC.

    `fork`: the run that it was forked from.
    """

    manifest: int
    run: int
    graph: str
    version: int
    graph_hash: str
    kinds: list[KindEntry]
    inputs: list[Named]
    store: list[Named]
    state: str
    created_at: int
    ended_at: int
    fork: int | None = None


class AttemptEntry(_Part, frozen=True):
    """An attempt that did not settle its task well."""

    attempt: int
    outcome: str
    code: str
    message: str
    type: str = ""


class Entry(_Part, frozen=True):
    """One task. `input` is absent where nothing was bound, or could be. `past`: a re-run has replaced it."""

    task: int
    node: str
    kind: str
    branch: str
    generation: int
    state: str
    attempt: int
    failures: int
    losses: int
    code: str
    claimed_at: int | None
    settled_at: int | None
    input: Content | None = None
    items: list[Content] = []
    attempts: list[AttemptEntry] = []
    past: bool = False


class Foot(_Part, frozen=True):
    """The last line: how many tasks came before."""

    tasks: int


def canonical(value: Any) -> bytes:
    """The one form of a value as JSON."""
    return msgspec.json.encode(value, order="sorted")


def link(part: Head | Entry | Foot, before: str) -> tuple[bytes, str]:
    """A line of the chain, and its hash."""
    body = {**msgspec.to_builtins(part), "before": before}
    digest = sha256(canonical(body)).hexdigest()
    return canonical({**body, "hash": digest}) + b"\n", digest


def content_of(body: bytes, files: Sequence[FileEntry]) -> Content:
    """A value whose files are known."""
    digests = {file.artifact: {"name": file.name, "sha256": file.sha256, "size": file.size} for file in files}
    same = sha256(canonical(_without_ids(decoded(body), digests))).hexdigest()
    return Content(size=len(body), sha256=sha256(body).hexdigest(), content=same, files=list(files))


def artifacts_in(body: bytes) -> list[int]:
    """The artifacts that a value names, each once, in order."""
    if KEY.encode() not in body:
        return []
    found: dict[int, None] = {}
    stack = [decoded(body)]
    while stack:
        match stack.pop():
            case {"$artifact": int(number), **rest} if not rest:
                found.setdefault(number)
            case dict() as fields:
                stack.extend(reversed(fields.values()))
            case list() as items:
                stack.extend(reversed(items))
            case _:
                pass
    return list(found)


def _without_ids(value: Any, digests: dict[int, dict[str, Any]]) -> Any:
    match value:
        case {"$artifact": int(number), **rest} if not rest and number in digests:
            return {KEY: digests[number]}
        case dict():
            return {name: _without_ids(each, digests) for name, each in value.items()}
        case list():
            return [_without_ids(each, digests) for each in value]
    return value


# --- a manifest that was kept ---


def broken(lines: Iterable[bytes]) -> str:
    """Where the chain of a manifest does not hold; empty: it does."""
    before, number = "", 0
    last: dict[str, Any] = {}
    for number, line in enumerate(lines, 1):
        try:
            last = decoded(line)
            claimed = last.pop("hash")
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError, AttributeError):
            return f"line {number} is not a line of a manifest"
        if last.get("before") != before or sha256(canonical(last)).hexdigest() != claimed:
            return f"line {number} ({title(last)}) was changed, or a line before it is missing"
        before = claimed
    if "tasks" not in last or "node" in last:
        return f"it ends with line {number}, before its end"
    return ""


def unlike(kept: bytes, now: bytes) -> str:
    """What differs between a line that was kept and the same line now, apart from the chain; empty: nothing."""
    if kept == now:
        return ""
    old, new = decoded(kept), decoded(now)
    for each in (old, new):
        each.pop("before", None), each.pop("hash", None)
    names = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    if not names:
        return ""
    changes = ", ".join(f"{name} {_short(old.get(name))} is now {_short(new.get(name))}" for name in names[:3])
    return f"{title(old)}: {changes}"


def title(line: dict[str, Any]) -> str:
    """A line as a message names it."""
    if "node" in line:
        at = f" at {line['branch']}" if line.get("branch") else ""
        return f"task {line.get('task')} ({line['node']}{at})"
    return f"run {line['run']}" if "run" in line else "the end"


def _short(value: Any) -> str:
    text = canonical(value).decode()
    return text if len(text) <= 200 else f"{text[:200]}…"
