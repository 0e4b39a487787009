"""`make demo`, as CI sees it: real data, a killed runner, the right totals."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

DEMO = Path(__file__).parents[2] / "examples" / "demo.py"


def test_the_demo_ends_with_the_totals_of_an_independent_computation(tmp_path: Path) -> None:
    environment = {**os.environ, "STOKER_DEMO_DATA": str(tmp_path / "demo")}
    done = subprocess.run([sys.executable, str(DEMO)], env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SIGKILL to the runner" in done.stdout
    assert "lost task(s) were offered again" in done.stdout
    assert "an independent computation gives the same totals" in done.stdout
