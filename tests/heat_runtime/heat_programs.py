"""Programs of `heat_runtime` as processes of their own, and the contract's three lines of CSV."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REFERENCE = Path(__file__).parents[2] / "examples" / "heat_sum.py"
CSV = "speed,altitude,temperature\n100.5,3000,cold\n20.2,412,warm\n"
SUMS = {"speed": 120.7, "altitude": 3412.0, "temperature": None}
CHOOSING = ("HEAT", "STOKER", "CORE_API_URL", "RuntimeSessionToken", "RunnerName", "KUBERNETES_SERVICE_HOST")


def environment(**variables: str) -> dict[str, str]:
    """This environment, without what chooses a mode, with `variables`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(CHOOSING)}
    return {**kept, **variables}


def ran(program: Path, *arguments: object, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run(
        [sys.executable, program, *map(str, arguments)],
        cwd=cwd,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def started(program: Path, *arguments: object, cwd: Path, **variables: str) -> subprocess.Popen[str]:
    """Start a program that goes on until it is told to stop."""
    return subprocess.Popen(
        [sys.executable, program, *map(str, arguments)], cwd=cwd, env=environment(**variables), text=True
    )
