"""Every token and role that a page of the documentation makes can be made, in the order of the pages."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from stoker.bootstrap.embedded import Embedded
from stoker.cli import main

from .pages import PAGES, blocks

MAKES = ("stoker tokens create ", "stoker roles set ")


def test_the_tokens_of_the_pages_can_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("STOKER_NAMESPACE", raising=False)
    lines = [line.removeprefix("$ ") for page in PAGES for block in blocks(page) for line in block.text.splitlines()]
    commands = [line for line in lines if line.startswith(MAKES)]
    with Embedded(tmp_path) as server:
        monkeypatch.setenv("STOKER_DATA", str(server.data))
        for command in sorted(commands, key=lambda each: each.startswith("stoker tokens")):
            code = main(shlex.split(command, comments=True)[1:])
            assert code == 0, f"{command}: {capsys.readouterr().err}"
    assert len(commands) > 5
