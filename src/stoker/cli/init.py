"""`stoker init`: a starter project, copied from `starter/`."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from stoker.cli import exits, terminal
from stoker.cli.options import TEXT, Options
from stoker.errors import Conflict, Unavailable

STARTER = {"pipeline.py": "pipeline.py.txt", "test_pipeline.py": "test_pipeline.py.txt", "README.md": "README.md.txt"}


def init(folder: Path = Path(), /, *, options: Options = TEXT) -> int:
    """Make a starter project: a graph, a test that runs it, and a README with the first commands.

    Parameters
    ----------
    folder: Path
        Where; this folder unless given. Files that exist are never overwritten.
    """
    if taken := [name for name in STARTER if (folder / name).exists()]:
        raise Conflict(
            f"{', '.join(taken)} {'exist' if len(taken) > 1 else 'exists'} already, and nothing is overwritten",
            code="file_exists",
            place=str(folder),
            remedy="Name another folder: stoker init DIR.",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, source in STARTER.items():
            text = files("stoker.cli").joinpath("starter", source).read_text(encoding="utf-8")
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise Unavailable(
            f"the project cannot be written: {error.strerror}", place=str(folder), remedy="Name a writable folder."
        ) from None
    if options.output == "json":
        terminal.document({"folder": str(folder), "files": list(STARTER)})
        return exits.OK
    terminal.say(f"made {', '.join(STARTER)} in {folder.resolve()}; now:")
    terminal.say("")
    for command in _commands(folder):
        terminal.say(f"  {command}")
    return exits.OK


def _commands(folder: Path) -> list[str]:
    go = [] if folder == Path() else [f"cd {folder}"]
    return [
        *go,
        "stoker run pipeline.py:words --input text='to be or not to be'",
        "python test_pipeline.py",
        "stoker dev pipeline.py",
    ]
