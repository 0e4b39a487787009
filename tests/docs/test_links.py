"""Links lead somewhere, and commands can be typed."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from stoker.cli import main

from .pages import PAGES, ROOT, anchors, blocks, links, prose


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    wrong = []
    for link in links(page):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            wrong.append(link)
    assert wrong == []


def commands() -> set[tuple[str, ...]]:
    """The commands in console blocks: `stoker`, the words up to the first argument that is none."""
    found = set()
    for page in PAGES:
        for block in blocks(page):
            if block.info == "console":
                found |= {tuple(words) for line in block.text.splitlines() if (words := stoker_words(line))}
        for code in prose(page).split("`")[1::2]:
            if words := stoker_words(code):
                found.add(tuple(words))
    return found


def stoker_words(line: str) -> list[str]:
    """The words of a line behind `stoker`: command and options, without what they are given."""
    line = line.partition(" #")[0].strip().removeprefix("$ ")
    try:
        words = shlex.split(line.replace("…", ""))
    except ValueError:
        return []
    while words and "=" in words[0] and words[0].partition("=")[0].isupper():
        words.pop(0)
    if len(words) < 2 or Path(words[0]).name != "stoker" or words[1].isupper():
        return []
    return words[1:]


def noun_and_verb(words: tuple[str, ...]) -> list[str]:
    alone = {"run", "init", "dev", "explain", "audit", "doctor", "selftest", "replay", "fork", "--help", "--version"}
    return list(words[:1]) if words[0] in alone else [word for word in words[:2] if not word.startswith("-")]


@pytest.mark.parametrize("words", sorted(commands()), ids=" ".join)
def test_a_command_of_the_pages_exists_with_its_options(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    if words[0].startswith("-"):
        assert main(list(words)) == 0
        return
    assert main([*noun_and_verb(words), "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"stoker {' '.join(noun_and_verb(words))}" in " ".join(shown.split())
    for option in (word.partition("=")[0] for word in words if word.startswith("--") and word != "--help"):
        assert option in shown
