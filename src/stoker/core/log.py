"""What is kept of what a task says: so many bytes of a chunk, so many in all. What is cut says so, where it is cut."""

from __future__ import annotations

from typing import NamedTuple

from stoker.core.names import head, well_formed
from stoker.core.protocol import LOG_CHUNK, LOG_TASK

TASK_CUT = f"\n[stoker: output cut here, a task keeps {LOG_TASK // 2**20} MiB of it]\n"
CHUNK_CUT = f"\n[stoker: chunk cut here, one keeps {LOG_CHUNK // 1024} KiB]\n"


class Grown(NamedTuple):
    """How far the log of a task has come: its last chunk, and how many bytes there are in all."""

    attempt: int = 0
    seq: int = -1
    total: int = 0


class Kept(NamedTuple):
    """A chunk as it is stored (empty: not at all), and how far the log has come with it."""

    text: str
    grown: Grown


def keep(text: str, attempt: int, seq: int, before: Grown) -> Kept:
    """Cut a chunk to what there is room for. One that does not lead on, so most likely a repeat, counts for nothing."""
    room = LOG_TASK - before.total
    if room < 0:  # the mark is written already
        return Kept("", before)
    mark = CHUNK_CUT if room > LOG_CHUNK + len(CHUNK_CUT) else TASK_CUT
    kept = _cut(well_formed(text), min(room, LOG_CHUNK), mark)
    if (attempt, seq) <= (before.attempt, before.seq):
        return Kept(kept, before)
    return Kept(kept, Grown(attempt, seq, before.total + len(kept.encode())))


def _cut(text: str, most: int, mark: str) -> str:
    start = head(text, most)
    return text if len(start) == len(text) else start + mark
