"""`stoker dev`: a change is served without a restart, and its end leaves nothing behind."""

from __future__ import annotations

import signal
from pathlib import Path

from cli.conftest import PIPELINE, Stoker
from cli.processes import started
from stoker.config import read_server_file


def test_a_saved_change_is_served_and_ctrl_c_ends_everything(stoker: Stoker, pipeline: Path, folder: Path) -> None:
    with started("dev", "pipeline.py") as dev:
        assert "on http://127.0.0.1:" in dev.until("stoker dev serves", err=True)
        assert "stoker run pipeline.py:shares --input x=VALUE" in dev.until("graph shares v1", err=True)
        dev.until("graph empty", err=True)
        assert stoker("run", f"{pipeline}:shares", "-i", "x=5").json == 5.0
        pipeline.write_text("def broken(:\n")
        dev.until("pipeline.py changed", err=True)
        dev.until("waiting for a change", err=True)
        pipeline.write_text(PIPELINE.replace("sum(parts)", "sum(parts) + 100"))
        dev.until("graph shares v2", err=True)
        assert stoker("runs", "list", "-o", "json").json["items"][0]["state"] == "SUCCEEDED"
        code, out, err = dev.end(signal.SIGINT)
    assert (code, out) == (0, "halving 5\n")  # what tasks print is shown
    assert "runs and results are kept" in err
    assert "Traceback" not in err
    assert read_server_file(folder / "data") is None
