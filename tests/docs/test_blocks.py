"""Every Python block of the documentation runs, and its assertions hold."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import stoker
from stoker.bootstrap.embedded import Embedded

from .pages import PAGES, ROOT, Block, blocks, sections

SECTIONS = {name: found for page in PAGES for name, found in sections(page).items()}


@pytest.fixture(scope="module")
def server() -> Iterator[Embedded]:
    with Embedded() as server:
        yield server


@pytest.fixture
def shared_run(server: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    """`stoker.run` on one server for all blocks: the same, without a start for each."""

    def run(graph: Any, /, *args: Any, **inputs: Any) -> Any:
        with server.runner([graph]), server.client() as client:
            result = client.trigger(graph, **graph.bind(*args, **inputs)).result(timeout=60)
            return _read(result)

    monkeypatch.setattr(stoker, "run", run, raising=False)


def _read(result: Any) -> Any:
    """A file of a result outlives the client here, as it does with `stoker.run`."""
    if not isinstance(result, stoker.File):
        return result
    copy = Path(tempfile.mkdtemp()) / result.name
    copy.write_bytes(result.read_bytes())
    return stoker.File(copy)


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.usefixtures("shared_run")
def test_the_blocks_of_a_section_run(section: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "section.py"
    path.write_text(as_file(SECTIONS[section]))
    run_as_script(path, monkeypatch)


def as_file(found: list[Block]) -> str:
    """The blocks as one file with the line numbers of the page: tracebacks lead to it."""
    lines: list[str] = []
    for block in found:
        lines += [""] * (block.line - 1 - len(lines))
        lines += block.text.splitlines()
    return "\n".join(lines) + "\n"


def run_as_script(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `python FILE` does, in this process: isolated nodes find the file by `__main__`."""
    spec = importlib.util.spec_from_file_location("__main__", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "__main__", module)
    spec.loader.exec_module(module)


def test_no_block_is_left_out_by_its_mark() -> None:
    marks = {block.info for page in PAGES for block in blocks(page)}
    assert marks <= {"python", "python fragment", "console", "json", "toml", "js", "text", ""}


def test_the_long_block_of_the_readme_is_the_weather_example() -> None:
    [block] = [block for block in blocks(ROOT / "README.md") if block.info == "python"]
    assert block.text == (ROOT / "examples" / "weather.py").read_text()
