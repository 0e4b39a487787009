"""The example dashboard and the reference ask for nothing that a server does not count."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from docs.pages import ROOT
from stoker.telemetry.metrics import Metrics

BOARD = ROOT / "examples" / "grafana.json"
OPERATING = ROOT / "docs" / "operating.md"
ADDED = {"le", "instance"}  # by histograms, and by who scrapes
_METRIC = re.compile(r"\b(?:stoker|process)_\w+")
_BY = re.compile(r"by \(([^)]*)\)")


@pytest.fixture
def exported() -> dict[str, set[str]]:
    """By the name of each sample: its labels. Of a process's own, those that exist on every platform with `/proc`."""
    metrics = Metrics(SimpleNamespace(statements=0), str, int, float)  # type: ignore[arg-type]  # nothing is looked up
    found: dict[str, set[str]] = {}
    for family in metrics._registry.collect():
        labels = set(getattr(_instrument(metrics, family.name), "_labelnames", ()))
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "gauge": [""]}[family.type]
        found |= {family.name + suffix: labels for suffix in suffixes}
    found["stoker_tasks_ready"] = {"namespace", "kind", "lane"}
    return found


def _instrument(metrics: Metrics, name: str) -> Any:
    return next((one for one in vars(metrics).values() if getattr(one, "_name", "") == name), None)


def queries(node: Any) -> Iterator[str]:
    """Every query in the dashboard."""
    match node:
        case {"expr": str(expr)}:
            yield expr
        case {"query": str(query)} if "stoker_" in query:
            yield query
        case dict():
            for value in node.values():
                yield from queries(value)
        case list():
            for value in node:
                yield from queries(value)


def test_the_dashboard_asks_for_what_is_exported(exported: dict[str, set[str]]) -> None:
    found = list(queries(json.loads(BOARD.read_text())))
    assert len(found) >= 15
    for query in found:
        names = _METRIC.findall(query)
        assert names, query
        assert set(names) <= exported.keys(), query
        labels = {label.strip() for group in _BY.findall(query) for label in group.split(",")}
        for name in names:
            assert labels <= exported[name] | ADDED, query


def test_the_dashboard_shows_all_that_is_counted(exported: dict[str, set[str]]) -> None:
    asked = {name for query in queries(json.loads(BOARD.read_text())) for name in _METRIC.findall(query)}
    ours = {_family(name) for name in exported if name.startswith("stoker_")}
    assert ours == {_family(name) for name in asked if name.startswith("stoker_")}


def test_the_reference_names_every_metric_with_its_labels(exported: dict[str, set[str]]) -> None:
    rows = re.findall(r"^\| `(stoker_\w+)`((?: `\w+`)*) \|", _read(OPERATING), re.MULTILINE)
    told = {name: set(re.findall(r"\w+", labels)) for name, labels in rows}
    assert told == {_family(name): labels for name, labels in exported.items() if name.startswith("stoker_")}


def _family(name: str) -> str:
    return re.sub(r"_(bucket|sum|count)$", "", name)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
