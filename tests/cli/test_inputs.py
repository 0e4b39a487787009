"""`k=v` becomes what the graph's schema lets it mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stoker.authoring import File
from stoker.authoring.file import SCHEMA
from stoker.cli.failure import Usage
from stoker.cli.inputs import example, parse
from stoker.core.graph import InputSpec

TEXT = {"type": "string"}
MAYBE_TEXT = {"anyOf": [{"type": "string"}, {"type": "null"}]}
NUMBER = {"type": "integer"}


def one(schema: dict[str, Any], text: str) -> Any:
    return parse([f"x={text}"], {"x": InputSpec(schema=schema)})["x"]


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        (TEXT, "12", "12"),
        (TEXT, '"quoted"', '"quoted"'),
        (TEXT, "a=b", "a=b"),
        (TEXT, "", ""),
        (MAYBE_TEXT, "12", "12"),
        (MAYBE_TEXT, "null", None),
        ({"type": ["string", "integer"]}, "12", 12),
        (NUMBER, "12", 12),
        (NUMBER, "twelve", "twelve"),
        ({}, "[1, 2]", [1, 2]),
        ({}, "plain words", "plain words"),
        ({"type": "array"}, '["a"]', ["a"]),
    ],
)
def test_a_value_is_json_unless_text_is_wanted(schema: dict[str, Any], text: str, value: object) -> None:
    assert one(schema, text) == value


def test_a_path_becomes_a_file_where_a_file_is_wanted(folder: Path) -> None:
    (folder / "a.bin").write_bytes(b"\xff\x00")
    file = one(dict(SCHEMA), "@a.bin")
    assert isinstance(file, File)
    assert file.path == folder / "a.bin"


def test_a_path_is_read_as_json_elsewhere(folder: Path) -> None:
    (folder / "a.json").write_text('{"a": [1]}')
    assert one({"type": "object"}, "@a.json") == {"a": [1]}


def test_a_path_is_read_as_text_where_text_is_wanted(folder: Path) -> None:
    (folder / "a.txt").write_text("some words")
    assert one(TEXT, "@a.txt") == "some words"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["x"], "'x' has no value"),
        (["y=1", "x=1"], "has no input 'y'"),
        (["x=1", "x=2"], "given twice"),
        ([], "needs the input 'x'"),
        (["x=@nowhere"], "cannot be read: No such file"),
        (["x=@."], "cannot be read: Is a directory"),
        (["x=@junk"], "is not JSON"),
    ],
)
def test_what_cannot_be_meant_is_said_with_a_remedy(folder: Path, given: list[str], says: str) -> None:
    (folder / "junk").write_bytes(b"\xff\xfe{")
    with pytest.raises(Usage, match=says) as caught:
        parse(given, {"x": InputSpec(schema=NUMBER)})
    assert caught.value.remedy


def test_text_is_no_file() -> None:
    with pytest.raises(Usage, match="is a file") as caught:
        one(dict(SCHEMA), "data.csv")
    assert caught.value.remedy == "Write --input x=@data.csv."


def test_an_input_with_a_default_may_be_left_out() -> None:
    assert parse([], {"x": InputSpec(required=False, default=1)}) == {}


def test_the_example_names_what_is_needed() -> None:
    inputs = {"a": InputSpec(schema=SCHEMA), "b": InputSpec(schema=TEXT), "c": InputSpec(required=False)}
    assert example(inputs) == " --input a=@PATH --input b=VALUE"
