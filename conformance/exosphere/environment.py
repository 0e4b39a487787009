"""The environment of the real SDK: it needs Python >= 3.12, so it has a virtual environment of its own.

`python conformance/exosphere/environment.py` makes it, unless it is there and up to date. A Python that is new enough
is looked for on PATH, among pyenv's versions, and by `uv python find`; `EXOSPHERE_PYTHON` names one instead. Where
there is none, nothing is made and this says so, in capitals: the scenarios with the real SDK are then skipped.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements" / "exosphere.txt"
VENV = ROOT / ".venv-exosphere"
STAMP = VENV / "made-from"
NEEDED = (3, 12)
NONE = (
    "SKIPPED: THE REAL EXOSPHERE SDK IS NOT TESTED HERE. It needs Python >= 3.12, and none was found on PATH, "
    "among pyenv's versions or by uv. Install one, or name it: EXOSPHERE_PYTHON=/path/to/python3.12."
)


def interpreter() -> Path | None:
    """The Python that has the SDK; None if it has not been made, or from other requirements."""
    python = VENV / "bin" / "python"
    return python if python.exists() and STAMP.exists() and STAMP.read_text() == _wanted() else None


def make() -> Path | None:
    """The Python that has the SDK, made if it must be; None if no Python is new enough."""
    if (made := interpreter()) is not None:
        return made
    base = find()
    if base is None:
        return None
    shutil.rmtree(VENV, ignore_errors=True)
    subprocess.run([base, "-m", "venv", VENV], check=True)
    install = [VENV / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, "--require-hashes", "-r", REQUIREMENTS], check=True)
    STAMP.write_text(_wanted())
    return interpreter()


def find() -> str | None:
    """The first Python that is new enough and runs."""
    return next((python for python in _candidates() if _version(python) >= NEEDED), None)


def _candidates() -> Iterator[str]:
    if named := os.environ.get("EXOSPHERE_PYTHON"):
        yield named
        return
    for name in ("python3.12", "python3.13", "python3.14", "python3"):
        if found := shutil.which(name):
            yield found
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from map(str, sorted(pyenv.glob("versions/3.*/bin/python")))
    if uv := shutil.which("uv"):
        asked = [uv, "python", "find", "--no-python-downloads", ">=3.12"]
        yield subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()


def _version(python: str) -> tuple[int, ...]:
    """Its version; nothing of what does not run: a shim stands for versions that may not be chosen."""
    asked = [python, "-c", "import sys; print(*sys.version_info[:2])"]
    try:
        told = subprocess.run(asked, capture_output=True, text=True, check=False)
    except OSError:
        return ()
    return tuple(map(int, told.stdout.split())) if told.returncode == 0 else ()


def _wanted() -> str:
    return hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()


if __name__ == "__main__":
    print(make() or NONE, file=sys.stderr)
