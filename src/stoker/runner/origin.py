"""Where a node's code is, so that another process can import it: a module or a file, and the name in it."""

from __future__ import annotations

import importlib
import runpy
import sys
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec

from stoker.errors import Conflict, Invalid
from stoker.runner.work import Work

SCRIPT = "__stoker_main__"  # what `__main__` is called in the other process, so that its main block does not run


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    module: str
    file: str
    name: str


def origin_of(work: Work) -> Origin:
    """Find where a node was defined. Invalid when another process could not find it there."""
    defined = getattr(work, "cls", None) or work  # a node class, or a node that carries its function's names
    module = str(getattr(defined, "__module__", ""))
    name = str(getattr(defined, "__qualname__", ""))
    if not name or "<locals>" in name:
        raise Invalid(
            f"the isolated node {work.kind.name!r} is defined inside of a function, where no other process can find it",
            place=f"{module}.{name}",
            remedy="Move it to the top level of its module.",
        )
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    return Origin(module=module, file=str(Path(file).absolute()) if file else "", name=name)


_importing: list[Origin] = []


def load(origin: Origin) -> Work:
    """Import the node an origin names. Raises what the import raises; Invalid when there is something else."""
    _importing.append(origin)
    try:
        found = attrgetter(origin.name)(_imported(origin))
    finally:
        _importing.pop()
    if isinstance(found, type) and callable(made := getattr(found, "node", None)):
        found = made()
    if not isinstance(found, Work):
        raise Invalid(
            f"{origin.module}.{origin.name} is not a node but {type(found).__name__}",
            place=origin.file,
            remedy="Keep the node under the name of its function.",
        )
    return found


def check_not_importing() -> None:
    """Refuse a runner that a file starts while it is imported for an isolated node: that would never end."""
    if _importing:
        raise Conflict(
            f"{_importing[-1].file} starts a runner while it is imported for its isolated node {_importing[-1].name!r}",
            code="runner_at_import",
            place=_importing[-1].file,
            remedy='Put what runs graphs (stoker.run, Runner, …) under `if __name__ == "__main__":`.',
        )


def _imported(origin: Origin) -> Any:
    if origin.module in {"__main__", SCRIPT}:
        return _Names(runpy.run_path(origin.file, run_name=SCRIPT))
    return importlib.import_module(origin.module)


class _Names:
    def __init__(self, names: dict[str, Any]) -> None:
        self.__dict__.update(names)
