"""Local mode: one task from files, without a server. The JSON of its output is printed."""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heat_runtime.attempt import attempt
from heat_runtime.local_task import LocalTask
from heat_runtime.output import output
from heat_runtime.payload import Payload, payload
from heat_runtime.registry import Registry, fresh
from heat_runtime.settings import Settings
from stoker.authoring.task import running

if TYPE_CHECKING:
    from heat_runtime.runtime import HeatRuntime

FOLDER = "inputs"

USAGE = """\
heat_runtime runs in local mode, without a server.
registered templates: {templates}

usage: python {program} --input KEY=PATH [--input KEY=PATH ...] [--config PATH] [--template NAME]
       python {program} [--inputs DIR] [--config PATH] [--template NAME]

  --input KEY=PATH  a file as an input; repeat it for more
  --inputs DIR      every file of a folder as an input, its key is its name without the ending (default: ./inputs)
  --config PATH     a file with a JSON object: the configuration
  --template NAME   which processor, if several are registered

A single input is given as `file`, too. To serve a Stoker server instead, set STOKER_URL.
"""


class Misuse(Exception):
    """The command line does not say what to run."""


def run(settings: Settings, registry: Registry, runtime: HeatRuntime) -> None:
    """Validate, process and print. Exits with 2 on a wrong command line; raises what the processor raises."""
    try:
        files = _files(settings)
        if files is None:
            print(USAGE.format(templates=", ".join(registry), program=_program()), end="")
            return
        name, config = _template(settings, registry), _config(settings)
    except Misuse as error:
        print(f"{_program()}: {error}", file=sys.stderr)
        sys.exit(2)
    processor = fresh(registry.of(name))
    processor.runtime = runtime
    print(json.dumps(_ran(processor, name, files, config)))


def _ran(processor: Any, name: str, files: dict[str, Path], config: dict[str, Any]) -> Any:
    with ExitStack() as opened:
        processor.task = opened.enter_context(LocalTask(name))
        opened.enter_context(running(processor.task))
        return output(attempt(processor, _inputs(files, opened), config), _Writes())


def _files(settings: Settings) -> dict[str, Path] | None:
    """Which file is which input. None: nothing says so, and there is no folder of inputs."""
    if settings.inputs:
        found = {} if settings.folder is None else _in_folder(Path(settings.folder))
        return {**found, **_named(settings.inputs)}
    if settings.folder is not None:
        return _in_folder(Path(settings.folder))
    return (_in_folder(Path(FOLDER)) or None) if Path(FOLDER).is_dir() else None


def _named(pairs: tuple[str, ...]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for pair in pairs:
        key, _, path = pair.partition("=")
        if not key or not path:
            raise Misuse(f"--input {pair!r} is not KEY=PATH. Write, for example, --input file=data.csv.")
        if key in found:
            raise Misuse(f"--input gives {key!r} twice: {found[key]} and {path}. Leave one out.")
        if not Path(path).is_file():
            raise Misuse(f"--input {pair}: there is no file {path!r}. Check the path.")
        found[key] = Path(path)
    return found


def _in_folder(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise Misuse(f"--inputs {str(folder)!r}: there is no such folder. Check the path.")
    found: dict[str, Path] = {}
    for path in sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")):
        if path.stem in found:
            raise Misuse(f"{found[path.stem]} and {path} have the same key {path.stem!r}. Rename one, or use --input.")
        found[path.stem] = path
    return found


def _template(settings: Settings, registry: Registry) -> str:
    if settings.template in (None, "") and len(registry) == 1:
        return next(iter(registry))
    if settings.template in registry:
        return str(settings.template)
    asked = f"no processor is registered for the template {settings.template!r}" if settings.template else "which one?"
    raise Misuse(f"{asked} Choose with --template: {', '.join(registry)}.")


def _config(settings: Settings) -> dict[str, Any]:
    if settings.config is None:
        return {}
    try:
        found = json.loads(Path(settings.config).read_bytes())
    except (OSError, ValueError) as error:
        raise Misuse(f"--config {settings.config!r} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise Misuse(f"--config {settings.config!r} holds {type(found).__name__}, not a JSON object.")
    return found


def _inputs(files: dict[str, Path], opened: ExitStack) -> dict[str, Payload]:
    found = {key: payload(path, opened) for key, path in files.items()}
    if len(found) == 1:
        found.setdefault("file", next(iter(found.values())))
    return found


class _Writes:
    """Writes bytes to files of a new folder, which stays."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._count = 0

    def __call__(self, content: bytes, name: str) -> dict[str, str]:
        self._folder = self._folder or Path(tempfile.mkdtemp(prefix="heat-output-"))
        self._count += 1
        path = self._folder / f"output-{self._count}.bin"
        path.write_bytes(content)
        return {"$file": str(path)}


def _program() -> str:
    return Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "program.py"
