"""Every example that has a graph runs, and gives what it says."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import stoker

from .pages import ROOT

FOLDER = ROOT / "examples"
ELSEWHERE = {"demo.py", "seattle.py"}  # run as a whole by tests/e2e


def test_every_example_with_a_graph_is_run() -> None:
    with_graph = {path.name for path in FOLDER.glob("*.py") if "@stoker.graph" in path.read_text()}
    assert with_graph - ELSEWHERE == {"primes.py", "weather.py", "words.py"}


def test_the_weather_example_sums_by_year(tmp_path: Path) -> None:
    weather = imported("weather").weather
    table = tmp_path / "table.csv"
    table.write_text("date,precipitation,wind\n2012-01-01,0.5,4.7\n2012-02-01,10.0,4.5\n2013-01-01,0.0,2.0\n")
    assert stoker.run(weather, csv=stoker.File(table)) == {
        "2012": {"precipitation": 10.5, "wind": 9.2},
        "2013": {"precipitation": 0.0, "wind": 2.0},
    }
    table.write_text("a,b\n1,2\n")
    with pytest.raises(stoker.RunFailed, match=r"table\.csv has no rows with a column 'date'"):
        stoker.run(weather, csv=stoker.File(table))


def test_the_words_example_counts_each_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("so it\n\ngoes\n")
    (tmp_path / "b.txt").write_text("")
    shown = script("words", str(tmp_path / "a.txt"), str(tmp_path / "b.txt"))
    assert shown.splitlines() == ["name,lines,words", "a.txt,2,3", "b.txt,0,0"]


def test_the_primes_example_counts_in_processes() -> None:
    assert script("primes") == "9592 primes below 100000\n"


def script(name: str, *arguments: str) -> str:
    """What an example prints, run as the guide says."""
    command = [sys.executable, str(FOLDER / f"{name}.py"), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def imported(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
