"""Users' files: what is found in them, and what is said when there is nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from stoker.cli.failure import Usage
from stoker.cli.load import checked, distinct, graph_of, load
from stoker.errors import Invalid

NODE = "import stoker\n\n@stoker.node\ndef n(a: int) -> int:\n    return a\n\n"
GRAPH = NODE + "@stoker.graph\ndef g(a: int):\n    return n(a)\n"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_nodes_and_graphs_of_the_top_level_are_found(pipeline: Path) -> None:
    found = load(pipeline)
    assert set(found.graphs) == {"shares", "empty", "sizes"}
    assert {node.name for node in found.nodes} == {"halves", "divide", "total", "nothing", "size"}


def test_the_class_form_is_found_and_its_base_is_not(folder: Path) -> None:
    text = "import stoker\nfrom stoker import Node\nclass A(Node):\n    async def execute(self):\n        return None\n"
    [found] = load(write(folder, "classes.py", text)).nodes
    assert found.__name__ == "A"


def test_a_file_imports_its_neighbours(folder: Path) -> None:
    write(folder, "neighbour.py", NODE)
    found = load(write(folder, "uses.py", "from neighbour import n\n"))
    assert [node.name for node in found.nodes] == ["n"]


def test_a_file_of_a_package_imports_relatively(folder: Path) -> None:
    write(folder, "things/__init__.py", "")
    write(folder, "things/other.py", NODE)
    found = load(write(folder, "things/flow.py", "from .other import n\n"))
    assert [node.name for node in found.nodes] == ["n"]
    assert "things.flow" in sys.modules


def test_two_files_of_one_name_do_not_meet(folder: Path) -> None:
    first = load(write(folder, "a/same.py", GRAPH))
    second = load(write(folder, "b/same.py", GRAPH.replace("def g", "def other")))
    assert (set(first.graphs), set(second.graphs)) == ({"g"}, {"other"})


def test_one_graph_needs_no_name(folder: Path) -> None:
    path = write(folder, "single.py", GRAPH + "alias = g\n")
    graph, loaded = graph_of(str(path))
    assert graph.name == "g"
    assert distinct(loaded) == [graph]


def test_of_several_graphs_one_is_named(pipeline: Path) -> None:
    assert graph_of(f"{pipeline}:empty")[0].name == "empty"
    with pytest.raises(Usage, match="has 3 graphs") as caught:
        graph_of(str(pipeline))
    assert f"{pipeline}:shares" in caught.value.remedy


def test_an_unknown_graph_is_answered_with_those_that_exist(pipeline: Path) -> None:
    with pytest.raises(Usage, match="has no graph 'nope'") as caught:
        graph_of(f"{pipeline}:nope")
    assert f"{pipeline}:empty" in caught.value.remedy


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("empty.py", "x = 1\n", "has no nodes and no graphs"),
        ("notes.txt", "hello", "is no Python file"),
        ("syntax.py", "def f(:\n", "cannot be imported: SyntaxError"),
        ("needs.py", "import not_there_at_all\n", "No module named 'not_there_at_all'"),
        ("leaves.py", "import sys\nsys.exit(3)\n", "cannot be imported: SystemExit"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(folder: Path, name: str, text: str, says: str) -> None:
    path = write(folder, name, text)
    with pytest.raises(Invalid, match=says) as caught:
        load(path)
    assert caught.value.place == str(path)


def test_a_missing_file_and_a_folder_are_said(folder: Path) -> None:
    with pytest.raises(Invalid, match="there is no file"):
        load(folder / "nope.py")
    with pytest.raises(Invalid, match="is a folder"):
        load(folder)


def test_the_traceback_of_an_import_has_the_users_frames_alone(folder: Path) -> None:
    write(folder, "broken.py", "def f():\n    return 1 / 0\n\n\nf()\n")
    path = write(folder, "uses.py", "import broken\n")
    with pytest.raises(Invalid) as caught:
        load(path)
    assert "uses.py" in caught.value.message
    assert "broken.py" in caught.value.message
    assert "importlib" not in caught.value.message
    assert "stoker/cli" not in caught.value.message


def test_a_file_that_failed_is_imported_anew(folder: Path) -> None:
    path = write(folder, "late.py", "1 / 0\n")
    with pytest.raises(Invalid):
        load(path)
    path.write_text(GRAPH + "# longer than before\n")
    assert set(load(path).graphs) == {"g"}


def test_what_a_graph_raises_while_it_is_traced_is_the_users(folder: Path) -> None:
    path = write(folder, "raises.py", NODE + "@stoker.graph\ndef g(a: int):\n    {}['key']\n    return n(a)\n")
    graph, _ = graph_of(str(path))
    with pytest.raises(Invalid, match="'g' cannot be traced: KeyError") as caught:
        checked(graph)
    assert "functools" not in caught.value.message
