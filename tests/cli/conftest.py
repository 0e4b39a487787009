"""The command line in this process, on a data folder of its own; and a server with a runner to speak to."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stoker.bootstrap.embedded import Embedded
from stoker.cli import main

PIPELINE = '''
import stoker


@stoker.node
def halves(x: int) -> list[int]:
    print(f"halving {x}")
    return [x // 2, x - x // 2]


@stoker.node
def divide(part: int, by: int) -> float:
    return part / by


@stoker.node
def total(parts: list[float]) -> float:
    return sum(parts)


@stoker.graph
def shares(x: int, by: int = 1):
    """Shares of a number."""
    return total(divide.map(part=stoker.each(halves(x)), by=by))


@stoker.node
def nothing(x: int) -> int:
    raise stoker.Prune("there is nothing to say")


@stoker.graph
def empty(x: int):
    return nothing(x)


@stoker.node
def size(file: stoker.File, note: str | None) -> dict[str, object]:
    return {"bytes": file.size, "note": note}


@stoker.graph
def sizes(file: stoker.File, note: str | None = None):
    return size(file, note)
'''


PLACES = ("URL", "DATA", "DATABASE_URL", "ARTIFACTS")


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Stoker = Callable[..., Answer]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with a data folder in it, and nothing of this machine's settings or of other tests' imports."""
    for name in (*PLACES, "TOKEN", "NAMESPACE", "HOST", "PORT", "SECRET_KEY", "SECRET_KEY_FILE"):
        monkeypatch.delenv(f"STOKER_{name}", raising=False)
    monkeypatch.setenv("STOKER_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    path, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def stoker(capsys: pytest.CaptureFixture[str]) -> Stoker:
    """Run one command."""

    def run(*argv: str) -> Answer:
        capsys.readouterr()
        code = main(list(argv))
        out, err = capsys.readouterr()
        return Answer(code, out, err)

    return run


@pytest.fixture
def pipeline(folder: Path) -> Path:
    path = folder / "pipeline.py"
    path.write_text(PIPELINE)
    return path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """A server that is alive, without runners."""
    with Embedded(tmp_path_factory.mktemp("served")) as server:
        yield server


@pytest.fixture
def server(served: Embedded, monkeypatch: pytest.MonkeyPatch) -> Embedded:
    """The same, and the commands of this test find it through its data folder."""
    monkeypatch.setenv("STOKER_DATA", str(served.data))
    return served
