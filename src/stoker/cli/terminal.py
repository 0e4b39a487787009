"""What commands write: answers to stdout, everything else to stderr. rich is imported for tables alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

STYLES = {
    "RUNNING": "cyan",
    "LEASED": "cyan",
    "SUCCEEDED": "green",
    "FAILED": "red",
    "CANCELLED": "yellow",
    "PRUNED": "yellow",
    "SKIPPED": "yellow",
    "ok": "green",
    "warn": "yellow",
    "fail": "red",
}
UNBOUNDED = 10_000  # the width of a pipe


def note(text: str) -> None:
    """Tell the person in front of the terminal something that is not the answer."""
    print(text, file=sys.stderr, flush=True)


def say(text: str) -> None:
    """Write a line of the answer."""
    print(text, flush=True)


def document(value: Any) -> None:
    """Write JSON: a value of the API, or its encoded bytes."""
    import msgspec

    encoded = value if isinstance(value, bytes) else msgspec.json.encode(value)
    sys.stdout.write(msgspec.json.format(encoded, indent=2).decode() + "\n")
    sys.stdout.flush()


def console(stream: Any = None) -> Console:
    """A console on stdout, or on the given stream; it takes users' words as they are."""
    from rich.console import Console

    stream = stream or sys.stdout
    terminal = stream.isatty()
    return Console(file=stream, markup=False, emoji=False, highlight=False, width=None if terminal else UNBOUNDED)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, grow: str = "") -> None:
    """Write rows under headings. The column `grow` wraps where the terminal is narrow; the others never do."""
    say(tabled(columns, rows, grow=grow))


def tabled(columns: Sequence[str], rows: Sequence[Sequence[str]], *, grow: str = "") -> str:
    """The same as text."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in columns:
        made.add_column(name, no_wrap=name != grow, overflow="fold")
    for row in rows:
        made.add_row(*map(styled, row))
    return _text(made)


def styled(text: str) -> Text:
    """A cell; states have their colours."""
    from rich.text import Text

    return Text(text, style=STYLES.get(text.partition(" ")[0], ""))


def fields(pairs: Sequence[tuple[str, str]]) -> None:
    """Write names and values."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in pairs:
        made.add_row(name, styled(value))
    say(_text(made))


def _text(made: Table) -> str:
    out = console()
    with out.capture() as captured:
        out.print(made)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


# --- times ---


def now() -> datetime:
    """This machine's clock."""
    return datetime.now(UTC)  # noqa: TID251  shows ages; decides nothing


def ago(at: datetime) -> str:
    """How long ago, roughly."""
    return f"{took(now() - at)} ago"


def took(span: timedelta) -> str:
    """A length of time, in as many digits as people read."""
    seconds = max(0.0, span.total_seconds())
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    for unit, size, below in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172_800)):
        if seconds < below:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def home(path: Any) -> str:
    """A path as people write it."""
    text, base = str(path), os.path.expanduser("~")  # noqa: PTH111  a text, to compare with a text
    return "~" + text[len(base) :] if base != "~" and (text + "/").startswith(base + "/") else text
