"""The public face of the package."""

from __future__ import annotations

import subprocess
import sys

import stoker


def test_every_public_name_can_be_had() -> None:
    for name in stoker.__all__:
        assert getattr(stoker, name) is not None


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, stoker; print([m for m in ('pydantic', 'aiohttp', 'apsw', 'starlette') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
