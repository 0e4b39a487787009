"""Function nodes and classes: plain outside of a graph, a kind with schemas for servers, work for runners."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import json
import math
import pickle
from pathlib import Path
from typing import Any

import pydantic
import pytest

import stoker.authoring as stoker
from stoker.errors import Invalid, Rejected
from stoker.runner.work import flatten


class Speaker(stoker.Task):
    """A task as a runner would pass it."""

    id, attempt, run, node, branch = 7, 1, 3, "node", ""
    cancelled = False
    deadline = None
    secrets = {"token": "abc"}
    scratch = Path()

    def progress(self, fraction: float | None = None, message: str = "") -> None:
        self.last = fraction, message

    def log(self, text: str) -> None:
        self.said = text

    def output(self, value: object, name: str = "") -> None:
        self.given = name, value


class Point(pydantic.BaseModel):
    x: float
    y: float = 0.0


@dataclasses.dataclass
class Size:
    width: int
    at: dt.date


class Colour(enum.Enum):
    RED = "red"


@stoker.node(timeout="5m", isolation=True, stop_grace="4s", secrets=["token"])
def shape(csv: stoker.File, point: Point, task: stoker.Task, year: int = 2000, anything=None) -> dict[str, float]:
    """Find the shape.

    More words.
    """
    return {"x": point.x + year}


@stoker.node
async def later(x: int) -> int:
    return x + 1


def result(node: Any, value: Any) -> Any:
    (document,) = node.dump(value)
    return json.loads(document)


def of(hint: Any) -> Any:
    def made(): ...

    made.__annotations__ = {"return": hint}
    return stoker.node(made)


@stoker.node
def free(): ...


# --- as functions ---


async def test_a_node_is_a_plain_function_outside_of_a_graph():
    assert shape(stoker.File("x"), Point(x=1), Speaker(), year=1) == {"x": 2.0}
    assert await later(1) == 2


def test_a_node_survives_pickling_by_reference():
    assert pickle.loads(pickle.dumps(shape)) is shape


# --- kinds ---


def test_hints_become_schemas():
    kind = shape.kind
    assert kind.name == "shape"
    assert kind.description == "Find the shape."
    assert kind.secrets == ("token",)
    assert kind.items == "one"
    assert len(kind.source_hash) == 64
    assert shape.isolation
    assert (shape.stop_grace_s, later.stop_grace_s, Sum.node().stop_grace_s) == (4, 10, 1.5)
    assert not shape.is_async
    assert later.is_async
    properties = kind.input["properties"]
    assert set(properties) == {"csv", "point", "year", "anything"}
    assert kind.input["required"] == ["csv", "point"]
    assert kind.input["additionalProperties"] is False
    assert properties["csv"] == {
        "type": "object",
        "properties": {"$artifact": {"type": "integer"}},
        "required": ["$artifact"],
    }
    assert properties["year"]["type"] == "integer"
    assert properties["anything"] == {}
    assert properties["point"] == {"$ref": "#/$defs/Point"}
    assert kind.output == {"type": "object", "additionalProperties": {"type": "number"}}


def test_no_return_hint_is_any_output():
    assert free.kind.output == {}
    assert free.kind.input == {"type": "object", "properties": {}, "additionalProperties": False}


def test_items_make_a_kind_of_many():
    kind = of(stoker.Items[int]).kind
    assert kind.items == "many"
    assert kind.output == {"type": "integer"}
    assert of(stoker.Items).kind.items == "many"


def test_the_hash_follows_the_source():
    def make(change):
        if change:

            @stoker.node
            def same():
                return 1
        else:

            @stoker.node
            def same():
                return 2

        return same

    assert make(True).kind.source_hash == make(True).kind.source_hash
    assert make(True).kind.source_hash != make(False).kind.source_hash


def test_a_hint_may_be_local():
    class Local(pydantic.BaseModel):
        x: int

    @stoker.node
    def uses(local: Local) -> Local:
        return local

    @stoker.node(name="also")
    def also_uses(local: Local) -> Local:
        return local

    assert "Local" in str(uses.kind.input)
    assert uses.arguments({"local": {"x": 1}}, task=None) == {"local": Local(x=1)}
    assert also_uses.kind.name == "also"


def test_a_hint_that_is_unknown_names_the_line():
    @stoker.node
    def unknown(x: Nowhere): ...  # noqa: F821

    with pytest.raises(stoker.Misuse, match="Nowhere") as caught:
        unknown.kind
    assert caught.value.place.startswith(f"{__file__}:")


def test_a_hint_without_a_json_form_names_the_parameter():
    @stoker.node
    def wrong(x: Speaker.mro): ...

    with pytest.raises(stoker.Misuse, match="parameter 'x'"):
        wrong.kind


def test_inputs_have_names():
    with pytest.raises(stoker.Misuse, match=r"\*args"):

        @stoker.node
        def star(*args): ...

    with pytest.raises(stoker.Misuse, match="parameter x"):

        @stoker.node
        def slash(x, /): ...

    with pytest.raises(stoker.Misuse, match="yields"):

        @stoker.node
        def generates():
            yield 1

    with pytest.raises(stoker.Misuse, match="stands on a function"):
        stoker.node(3)


def test_further_inputs_are_taken_by_a_node_that_takes_them():
    @stoker.node
    def further(x: int, **rest: Any): ...

    assert further.kind.input["additionalProperties"] is not False
    assert further.arguments({"x": 1, "y": 2}, task=None) == {"x": 1, "y": 2}
    spec = stoker.graph(lambda: further(1, y=2)).spec
    assert set(spec.nodes[0].bind) == {"x", "y"}


# --- arguments ---


def test_arguments_are_converted_and_the_task_is_injected():
    task = Speaker()
    found = shape.arguments({"csv": {"$artifact": 5}, "point": {"x": 1}}, task=task)
    assert found["csv"].id == 5
    assert found["point"] == Point(x=1)
    assert found["task"] is task
    assert "year" not in found
    assert shape.call({**found, "year": 3}) == {"x": 4.0}


def test_a_wrong_input_is_named():
    with pytest.raises(Invalid) as caught:
        shape.arguments({"csv": {"$artifact": 5}, "point": {"x": "wide"}, "more": 1}, task=None)
    assert caught.value.code == "invalid_input"
    places = [problem.place for problem in caught.value.problems]
    assert places == ["input 'point.x'", "input 'more'"]


async def test_an_async_node_gives_an_awaitable():
    assert await later.call(later.arguments({"x": 2}, task=None)) == 3


# --- results ---


class Scalar:
    """Like a numpy scalar."""

    def item(self) -> float:
        return 1.5


class Array:
    """Like a numpy array."""

    def item(self) -> float:
        raise ValueError("not a scalar")

    def tolist(self) -> list[int]:
        return [1, 2]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ([1, "a", True, 1.5], [1, "a", True, 1.5]),
        ((1, 2), [1, 2]),
        ({"b", "a"}, ["a", "b"]),
        ({1: "x", "y": {}}, {"1": "x", "y": {}}),
        (Point(x=1), {"x": 1.0, "y": 0.0}),
        (Size(width=1, at=dt.date(2020, 1, 2)), {"width": 1, "at": "2020-01-02"}),
        (dt.datetime(2020, 1, 2, tzinfo=dt.UTC), "2020-01-02T00:00:00+00:00"),
        (Colour.RED, "red"),
        (decimal.Decimal("1.50"), "1.50"),
        (Scalar(), 1.5),
        ({"rows": Array()}, {"rows": [1, 2]}),
    ],
)
def test_a_result_becomes_one_json_document(value, expected):
    assert result(free, value) == expected


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": [1, math.nan]}, "$.a[1]"),
        (math.inf, "$"),
        ({"a": {"b": Scalar}}, "$.a.b"),
        ([b"bytes"], "$[0]"),
        ([Path("x")], "$[0]"),
        ({(1, 2): 3}, "$"),
    ],
)
def test_what_is_not_json_is_named(value, place):
    with pytest.raises(Invalid) as caught:
        free.dump(value)
    assert caught.value.code == "invalid_output"
    assert caught.value.place == place
    assert caught.value.remedy


def test_a_result_that_contains_itself_is_refused():
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(Invalid, match="contains itself"):
        free.dump(endless)


def test_a_lone_surrogate_is_refused():
    with pytest.raises(Invalid, match="surrogate"):
        free.dump("\ud800")


def test_a_result_is_checked_against_the_hint():
    assert result(of(list[int]), [1, 2]) == [1, 2]
    assert result(of(Point), {"x": 1}) == {"x": 1.0, "y": 0.0}
    assert result(of(Size), Size(width=1, at=dt.date(2020, 1, 2))) == {"width": 1, "at": "2020-01-02"}
    assert result(of(None), None) is None
    with pytest.raises(Invalid) as caught:
        of(list[int]).dump([1, "x"])
    assert caught.value.code == "invalid_output"
    assert caught.value.problems[0].place == "result '1'"


def test_items_are_one_document_each():
    assert of(stoker.Items[int]).dump(stoker.Items([1, 2])) == [b"1", b"2"]
    assert of(stoker.Items[int]).dump(stoker.Items([])) == []
    with pytest.raises(Invalid, match="returned list"):
        of(stoker.Items[int]).dump([1])
    with pytest.raises(Invalid, match="not annotated so"):
        free.dump(stoker.Items([1]))


# --- classes ---


class Sum(stoker.Node, name="sum", timeout="1m", stop_grace=1.5):
    """Adds."""

    class Inputs(pydantic.BaseModel):
        numbers: list[float]
        start: float = 0.0

    class Outputs(pydantic.BaseModel):
        total: float

    class Secrets(pydantic.BaseModel):
        token: str

    async def execute(self) -> Outputs:
        return self.Outputs(total=sum(self.inputs.numbers, self.inputs.start))


class Split(stoker.Node):
    class Inputs(pydantic.BaseModel):
        text: str

    class Outputs(pydantic.BaseModel):
        word: str

    def execute(self) -> list[Outputs]:
        return [self.Outputs(word=word) for word in self.inputs.text.split()]


class Quiet(stoker.Node):
    def execute(self):
        return None


def test_a_class_is_a_kind():
    work = stoker.work_of(Sum)
    assert work.kind.name == "sum"
    assert work.kind.items == "one"
    assert work.kind.secrets == ("token",)
    assert work.kind.description == "Adds."
    assert work.kind.input["required"] == ["numbers"]
    assert work.kind.output["properties"] == {"total": {"type": "number"}}
    assert work.is_async
    assert stoker.work_of(Split).kind.items == "many"
    assert stoker.work_of(Quiet).kind.items == "one"
    assert stoker.work_of(free) is free
    with pytest.raises(stoker.Misuse, match="not a node"):
        stoker.work_of(len)


async def test_a_class_is_run():
    work = stoker.work_of(Sum)
    arguments = work.arguments({"numbers": [1, 2]}, task=Speaker())
    assert arguments["secrets"].token == "abc"
    assert work.dump(await work.call(arguments)) == [b'{"total":3.0}']


def test_a_class_may_fan_out():
    work = stoker.work_of(Split)
    assert work.dump(work.call(work.arguments({"text": "a b"}, task=None))) == [b'{"word":"a"}', b'{"word":"b"}']


def test_returning_none_is_an_empty_item():
    work = stoker.work_of(Quiet)
    assert work.dump(work.call(work.arguments({}, task=None))) == [b"{}"]
    with pytest.raises(Invalid, match="not annotated"):
        work.dump([{}, {}])


def test_a_missing_secret_is_named():
    with pytest.raises(Rejected, match="token"):
        stoker.work_of(Sum).arguments({"numbers": []}, task=None)


async def test_a_class_is_an_object_outside_of_a_graph():
    assert (await Sum(numbers=[1, 2]).execute()).total == 3


def test_a_class_is_called_in_a_graph():
    def program(text: str):
        words = Split(text=text)
        lengths = free.options(name="count")()
        return Sum(numbers=[lengths, lengths]), Sum.map(numbers=stoker.each(words["word"])), words

    graph = stoker.graph(program)
    assert [node.name for node in graph.spec.nodes if node.kind != "stoker.item"] == ["Split", "count", "sum", "sum_2"]
    assert {work.kind.name for work in graph.nodes} == {"Split", "free", "sum"}
    assert graph.spec.nodes[0].timeout is None
    assert next(node for node in graph.spec.nodes if node.kind == "sum").timeout == "1m"


def test_a_class_call_that_does_not_fit_is_refused():
    with pytest.raises(stoker.Misuse, match="it has no input 'number'; it needs 'numbers'"):
        stoker.graph(lambda: Sum(number=1)).spec


# --- graphs ---


def test_parameters_of_a_graph_are_its_inputs():
    @stoker.graph(name="named")
    def program(csv: stoker.File, year: int = 2000, rest=None):
        """Does it."""
        return free()

    spec = program.spec
    assert spec.name == "named"
    assert spec.description == "Does it."
    assert spec.inputs["csv"].schema["required"] == ["$artifact"]
    assert spec.inputs["csv"].required
    assert (spec.inputs["year"].schema, spec.inputs["year"].default) == ({"type": "integer"}, 2000)
    assert (spec.inputs["rest"].schema, spec.inputs["rest"].required) == ({}, False)
    assert program.bind("x", year=3) == {"csv": "x", "year": 3}
    with pytest.raises(stoker.Misuse, match="missing"):
        program.bind()


def test_importing_the_package_does_not_import_pydantic():
    import subprocess
    import sys

    code = (
        "import sys, stoker.authoring as s\n"
        "s.node(lambda: 1); s.graph(lambda: 1); s.File; s.Task; s.Retry(3)\n"
        "assert 'pydantic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_stop_grace_is_a_duration():
    with pytest.raises(Rejected, match="stop_grace='soon'"):
        stoker.node(stop_grace="soon")(lambda: None)


def test_two_nodes_of_one_name_are_told_by_their_lines():
    def double(n: int) -> int:
        return 2 * n

    one, two = stoker.node(double), stoker.node(double)
    with pytest.raises(Invalid) as error:
        flatten([one, two])
    assert error.value.problems[0].message == f"two nodes are named 'double': {one.place}, {two.place}."
