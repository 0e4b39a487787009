"""The page of the filters names every field, and what it shows is one."""

from __future__ import annotations

import re

import pytest

from stoker.core import audit_filter, run_filter, task_filter
from stoker.core.filter import OPERATORS, Field, parse, render

from .pages import ROOT

PAGE = (ROOT / "docs" / "reference" / "filters.md").read_text()
RUNS = PAGE.partition("## Of runs")[2].partition("## ")[0]
TASKS = PAGE.partition("## Of the tasks")[2].partition("## ")[0]


AUDIT = PAGE.partition("## Of the audit log")[2].partition("## ")[0]
PARTS = [(RUNS, run_filter.FIELDS), (TASKS, task_filter.FIELDS), (AUDIT, audit_filter.FIELDS)]


@pytest.mark.parametrize(("part", "fields"), PARTS)
def test_every_field_stands_there_with_its_words_and_operators(part: str, fields: dict[str, Field]) -> None:
    rows = [row.split("|") for row in part.splitlines() if row.startswith("| `")]
    shown = {name.removesuffix("NAME"): row for row in rows for name in re.findall(r"`([\w.]+)`", row[1])}
    assert shown.keys() == fields.keys()
    for name, field in fields.items():
        assert tuple(re.findall(r"`([!<>=]+)`", shown[name][3])) == OPERATORS[field.sort]
        assert all(f"`{word}`" in shown[name][2] for word in field.words)


@pytest.mark.parametrize(
    "text", [*re.findall(r"^stoker runs list (.*)$", PAGE, re.MULTILINE), "created>2d", "'created>7d' 'created<1d'"]
)
def test_what_the_page_shows_is_a_filter(text: str) -> None:
    assert text in PAGE
    text = text.replace("'", "")
    assert render(parse(text, run_filter.FIELDS)) == text
