"""`stoker.Limit`, at a node and at a place of a graph."""

from __future__ import annotations

from typing import Any

import pytest

import stoker
from stoker.core import graph as spec

SERVICE = stoker.Limit("service", most=5, rate="100/min")


@stoker.node(limit=SERVICE)
def ask(question: str) -> str:
    return question


class Press(stoker.Node, limit=stoker.Limit("press", rate="2/h")):
    async def execute(self) -> None:
        return None


@stoker.graph
def survey(question: str):
    Press()
    return [ask(question), ask.options(name="seat", limit=stoker.Limit("seats", most=1))(question)]


def test_a_limit_is_written_into_the_graph() -> None:
    nodes = {node.name: node.limit for node in survey.push_request().graph.nodes}
    assert nodes["ask"] == spec.Limit(key="service", most=5, rate="100/min")
    assert nodes["seat"] == spec.Limit(key="seats", most=1)
    assert nodes["Press"] == spec.Limit(key="press", rate="2/h")


def test_a_limit_is_by_an_input_or_a_part_of_its_value() -> None:
    assert stoker.Limit("tenant", most=1, by="who") == spec.Limit(key="tenant", most=1, by=("who",))
    assert stoker.Limit("tenant", most=1, by=("who", "names", 0)).by == ("who", "names", 0)


@pytest.mark.parametrize(
    ("key", "options", "message"),
    [
        ("", {"most": 1}, "the key of a limit is a name"),
        (7, {"most": 1}, "the key of a limit is a name"),
        ("k", {}, "the limit 'k' limits nothing"),
        ("k", {"most": 0}, "from 1 to 1000000, not 0"),
        ("k", {"most": True}, "not True"),
        ("k", {"most": 2.5}, "not 2.5"),
        ("k", {"rate": "5/day"}, "'5/s', '100/min' or '1000/h'"),
        ("k", {"rate": 5}, "rate=5"),
        ("k", {"most": 1, "by": ""}, "by='' names no input"),
        ("k", {"most": 1, "by": ()}, "by=() names no input"),
        ("k", {"most": 1, "by": ["who"]}, "by=['who'] names no input"),
        ("k", {"most": 1, "by": (0, "who")}, "names no input"),
        ("k", {"most": 1, "by": ("who", 1.5)}, "holds what is no key of a value"),
    ],
)
def test_a_limit_that_makes_no_sense_says_so_where_it_is_written(
    key: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(TypeError, match=r"limit|rate") as caught:
        stoker.Limit(key, **options)
    assert message in str(caught.value)


def test_an_option_that_is_no_limit_is_refused() -> None:
    for wrong in ("service", 5):
        with pytest.raises(TypeError, match=r"limit=stoker\.Limit"):
            stoker.node(limit=wrong)(lambda: 1)  # type: ignore[call-overload]  # what it refuses
        with pytest.raises(TypeError, match=r"limit=stoker\.Limit"):
            ask.options(limit=wrong)  # type: ignore[arg-type]  # as above
