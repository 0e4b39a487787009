"""The command line: one file per noun. `main` is the entry point; everything else is imported when it is needed.

A command is a function that returns its exit code. It writes what was asked for to stdout and everything else to
stderr, raises `stoker.errors`, and `main` shows them. Nothing here decides about graphs or runs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. `argv` None: the arguments of this process."""
    if sys.platform == "win32":
        print("error: Stoker does not support Windows. Use it under WSL, or on Linux or macOS.", file=sys.stderr)
        return 1
    from stoker.cli.command import execute

    return execute(list(sys.argv[1:] if argv is None else argv))
