"""What a server does not need at its start is imported with the first call that asks for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

SELDOM = (
    "again", "audit_page", "backup", "bulk", "callers", "children", "diff", "engine", "explain", "exporting",
    "firing", "fork", "importing", "iterations", "keys", "lists", "live", "logs", "manifest", "missing", "overview",
    "own", "recorded", "schedule_sets", "scheduled", "schedules", "tasks", "unsealing", "usage", "verify", "waits",
)  # fmt: skip
ELSEWHERE = (
    "cronsim", "difflib", "starlette", "stoker.api.dialects.mounted", "stoker.api.openapi",
    "stoker.core.compiler", "stoker.core.filter", "stoker.core.fork", "stoker.runner.execute",
)  # fmt: skip


def test_a_server_begins_without_what_few_calls_ask_for() -> None:
    loaded = modules("stoker.api.child", "stoker.bootstrap.serving")
    assert "stoker.engine.runs" in loaded
    assert not loaded & {*(f"stoker.engine.{name}" for name in SELDOM), *ELSEWHERE}


@pytest.mark.parametrize("library", ["msgspec", "stoker.engine", "stoker.core.graph"])
def test_the_command_that_starts_a_server_only_reads_settings(library: str) -> None:
    assert library not in modules("stoker.cli.server")


def modules(*imported: str) -> set[str]:
    code = f"import sys, {', '.join(imported)}; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(found.stdout.split())
