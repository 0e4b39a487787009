"""Where the files of tests lie: in memory where there is room, because most of them live for a tenth of a second."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")
ENOUGH = 6 << 30  # bytes, for all that a few workers hold at once, PostgreSQL's logs included


def settle() -> None:
    """Have everything temporary lie in memory, here and in all that is started, unless TMPDIR says where."""
    if "TMPDIR" not in os.environ and has_room(MEMORY):
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


def has_room(folder: Path) -> bool:
    """Whether it is there, for everybody, for programs too, and large enough, with as much memory to spare."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    usable = os.access(folder, os.W_OK | os.X_OK) and not found.f_flag & (os.ST_NOEXEC | os.ST_RDONLY)
    return usable and min(found.f_bavail * found.f_frsize, _spare_memory()) >= ENOUGH


def _spare_memory() -> int:
    """Bytes, by what Linux says; elsewhere there is none."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")), 0)
