"""Break each guard on purpose, in a copy of the sources, and see the test fail that is named beside it.

`make guards` does all of them, `python -m proofs.guards "a name" …` some. Nothing of the working tree is touched. A
guard whose text is no longer found has been rewritten: name its new text in `guarded.py`, and break it once more.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from proofs.guarded import GUARDS, Guard

ROOT = Path(__file__).parents[2]
LONGEST_S = 600


def broken(guard: Guard, folder: Path) -> str:
    """What the guard's test says of sources without it: `fell` (as it should), `stood`, or `gone`."""
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    file = folder / "src" / "stoker" / guard.file
    text = file.read_text()
    if text.count(guard.text) != 1:
        return "gone"
    file.write_text(text.replace(guard.text, guard.without))
    return "stood" if _passes(guard.test, folder) else "fell"


def _passes(test: str, folder: Path) -> bool:
    environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    environment["STOKER_STEPS"] = "900"
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--tb=line", f"tests/{test}"]
    with (folder / "said").open("wb") as said:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stdout=said, stderr=said, timeout=LONGEST_S, check=False
        )
    if done.returncode not in (0, 1):
        raise AssertionError(f"{test} could not be run: {(folder / 'said').read_text()}")
    failed = [line for line in (folder / "said").read_text().splitlines() if line.startswith("FAILED")]
    print("   ", *[line.partition(" - ")[0] for line in failed], flush=True)
    return done.returncode == 0


def main(names: list[str]) -> int:
    wrong = 0
    for guard in GUARDS:
        if names and not any(name in guard.name for name in names):
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = broken(guard, Path(folder))
        wrong += found != "fell"
        print(f"{found:6} {guard.name}: {guard.test}", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
