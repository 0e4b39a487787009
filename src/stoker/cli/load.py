"""Users' Python files: imported as `python FILE` would find their neighbours, and searched for nodes and graphs."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from stoker.cli.failure import Usage
from stoker.errors import Invalid, StokerError

_OURS = str(Path(__file__).parent.parent)  # the package `stoker`


@dataclass(slots=True)
class Loaded:
    """What one file defines at its top level."""

    path: Path
    graphs: dict[str, Any] = field(default_factory=dict)
    nodes: list[Any] = field(default_factory=list)


def load(path: Path) -> Loaded:
    """Import a file. Invalid if there is none, if its code raises, or if it has no nodes."""
    check(path)
    found = _searched(path, _imported(path.resolve()))
    if not found.nodes and not found.graphs:
        raise Invalid(
            f"{path} has no nodes and no graphs at its top level",
            code="no_nodes",
            place=str(path),
            remedy="Decorate a function with @stoker.node, and one that calls it with @stoker.graph.",
        )
    return found


def check(path: Path) -> None:
    """Invalid if this cannot be a Python file."""
    if not path.exists():
        raise Invalid(f"there is no file {path}", code="no_such_file", place=str(path), remedy="Check the path.")
    if path.is_dir() or path.suffix != ".py":
        what = "a folder" if path.is_dir() else "no Python file"
        raise Invalid(f"{path} is {what}", code="not_python", place=str(path), remedy="Name a .py file.")


def graph_of(target: str) -> tuple[Any, Loaded]:
    """The graph that `FILE:graph` names; with one graph in the file, `FILE` is enough."""
    path, _, name = target.rpartition(":") if ".py:" in target else (target, "", "")
    loaded = load(Path(path))
    if name:
        if name in loaded.graphs:
            return loaded.graphs[name], loaded
        raise Usage(f"{path} has no graph {name!r}", code="no_such_graph", place=path, remedy=_choice(path, loaded))
    if len(graphs := distinct(loaded)) == 1:
        return graphs[0], loaded
    count = "no graph" if not loaded.graphs else f"{len(graphs)} graphs"
    raise Usage(f"{path} has {count}", code="which_graph", place=path, remedy=_choice(path, loaded))


def distinct(loaded: Loaded) -> list[Any]:
    """Its graphs, each once."""
    return list({id(graph): graph for graph in loaded.graphs.values()}.values())


def checked(graph: Any) -> Any:
    """What a graph is pushed as. Its function runs here for the first time, and may raise."""
    try:
        return graph.push_request()
    except StokerError:
        raise
    except Exception as error:  # noqa: BLE001  users' code raises what it likes
        raise _of_user(f"the graph {graph.name!r} cannot be traced", error, graph.place) from None


def _choice(path: str, loaded: Loaded) -> str:
    if not loaded.graphs:
        return "Decorate a function with @stoker.graph."
    return f"Name one: {', '.join(f'{path}:{name}' for name in sorted(loaded.graphs))}."


# --- importing ---


def _imported(path: Path) -> ModuleType:
    folder, name = _place(path)
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    known = sys.modules.get(name)
    if known is not None:
        if getattr(known, "__file__", None) == str(path):
            return known
        name = f"{name}_{abs(hash(str(path))):x}"  # a module of another file has the name
    try:
        return _executed(path, name)
    except StokerError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001  users' code raises what it likes
        raise _of_user(f"{path.name} cannot be imported", error, str(path)) from None


def _executed(path: Path, name: str) -> ModuleType:
    if "." in name:
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _place(path: Path) -> tuple[Path, str]:
    """The folder to import from and the module's name there: inside of a package, its full one."""
    folder, parts = path.parent, [path.stem]
    while (folder / "__init__.py").exists() and folder.name.isidentifier():
        parts.insert(0, folder.name)
        folder = folder.parent
    return folder, ".".join(parts)


def _of_user(what: str, error: BaseException, place: str) -> Invalid:
    """The user's own error, with the frames that are theirs."""
    frames = _theirs(traceback.extract_tb(error.__traceback__), place.rpartition(".py")[0] + ".py")
    lines = ["".join(traceback.format_list(frames)).rstrip()] if frames else []
    lines += ["".join(traceback.format_exception_only(error)).rstrip()]
    return Invalid(f"{what}: {type(error).__name__}\n" + "\n".join(lines), code="user_code", place=place)


def _theirs(frames: list[traceback.FrameSummary], file: str) -> list[traceback.FrameSummary]:
    """From the first frame in the user's file on; imports between their files are left out."""
    first = next((index for index, frame in enumerate(frames) if frame.filename == file), len(frames))
    return [frame for frame in frames[first:] if not frame.filename.startswith((_OURS, "<frozen importlib"))]


# --- searching ---


def _searched(path: Path, module: ModuleType) -> Loaded:
    from stoker.authoring import Graph, Node, Work

    found = Loaded(path)
    for name, value in vars(module).items():
        if name.startswith("__"):
            continue
        if isinstance(value, Graph):
            found.graphs[name] = value
            found.graphs.setdefault(value.name, value)
        elif isinstance(value, Work) or (isinstance(value, type) and issubclass(value, Node) and _runs(value)):
            found.nodes.append(value)
    return found


def _runs(cls: type[Any]) -> bool:
    return hasattr(cls, "execute")
