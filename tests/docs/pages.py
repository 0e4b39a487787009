"""The pages of the documentation: their sections, fenced blocks and links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")] + sorted(
    ROOT.glob("docs/**/*.md")
)

_FENCE = re.compile(r"^(`{3,})(.*)$")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


class Block(NamedTuple):
    """A fenced block. `line`: of its first line of text, from 1. `info`: what stands behind the fence."""

    page: Path
    section: str
    line: int
    info: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}: {self.section}"


def blocks(page: Path) -> Iterator[Block]:
    section, info, begin = page.stem, None, 0
    kept: list[str] = []
    for number, line in enumerate(page.read_text().splitlines(), 1):
        fence = _FENCE.match(line)
        if fence and info is None:
            info, begin, kept = fence[2].strip(), number + 1, []
        elif fence and info is not None:
            yield Block(page, section, begin, info, "\n".join(kept) + "\n")
            info = None
        elif info is not None:
            kept.append(line)
        elif line.startswith("#"):
            section = line.lstrip("# ")
    assert info is None, f"{page}: the fence of line {begin - 1} is never closed"


def sections(page: Path) -> dict[str, list[Block]]:
    """The Python blocks by section, without those marked as fragments."""
    found: dict[str, list[Block]] = {}
    for block in blocks(page):
        if block.info == "python":
            found.setdefault(block.name, []).append(block)
    return found


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return re.sub(r"^(`{3,}).*?^\1$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def links(page: Path) -> list[str]:
    return _LINK.findall(prose(page))


def anchors(page: Path) -> set[str]:
    """The fragments that headings give, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
