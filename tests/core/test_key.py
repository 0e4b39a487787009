"""Limits by a value: what a key is made of, and which graphs may have such a limit."""

from __future__ import annotations

import pytest

from core.samples import after, graph, join, node, problems
from stoker.core.graph import InputSpec, Limit, NodeSpec, OnChange, Ref, RunInput, Value
from stoker.core.key import gate_name, title, value_of
from stoker.core.values import BadPath

BY = Limit(key="tenant", most=1, by=("who",))
DEEP = Limit(key="tenant", most=1, by=("who", "name", 0))


@pytest.mark.parametrize(
    ("body", "text"), [(b'"blue"', "blue"), (b"42", "42"), (b" 1.5", "1.5"), (b"true", "true"), (b'"a:b"', "a:b")]
)
def test_a_scalar_is_its_own_key(body: bytes, text: str) -> None:
    assert value_of(BY, body) == text


def test_a_part_of_an_input_is_found_by_its_path() -> None:
    assert value_of(DEEP, b'{"name": ["blue", "red"]}') == "blue"


@pytest.mark.parametrize(
    ("limit", "body", "why"),
    [
        (BY, b"null", "which is null; it must be a text, a number or a boolean"),
        (BY, b"[1]", "which is a list"),
        (BY, b"{}", "which is an object"),
        (BY, b'""', "of which no key can be made: a name is a text of at least one character"),
        (BY, b'"a\\u001fb"', "holds a control character"),
        (BY, b'"%s"' % (b"x" * 201), "has 201 bytes; the limit is 200"),
        (DEEP, b'{"nam": 1}', "the limit 'tenant' is by the input 'who' at $.name[0], but there is nothing at $.name"),
    ],
)
def test_what_is_no_scalar_or_no_name_is_no_key(limit: Limit, body: bytes, why: str) -> None:
    with pytest.raises(BadPath) as error:
        value_of(limit, body)
    assert why in str(error.value)


def test_no_other_limit_has_the_name_of_a_gate_of_one_value() -> None:
    plain = Limit(key="tenant:42", most=1)
    names = {gate_name(plain), gate_name(BY, "42"), gate_name(BY), gate_name(Limit(key="tenant", most=1))}
    assert len(names) == 4
    assert [title(gate_name(limit, value)) for limit, value in ((plain, ""), (BY, "42"), (BY, ""))] == [
        "tenant:42",
        "tenant:42",
        "tenant",
    ]


def test_a_limit_is_by_an_input_that_is_bound() -> None:
    (problem,) = problems(graph(node("a", bind={"what": Value(value=1)}, limit=BY)))
    assert (problem.code, problem.place) == ("bad_option", "node 'a', limit")
    assert problem.message == "the limit is by 'who', which is no input of the node."
    assert problem.remedy == "It has 'what'."


def test_a_limit_is_not_by_a_gathered_list() -> None:
    nodes = (node("s", kind="many"), node("j", join("s"), bind={"who": Ref(node="s", many=True)}, limit=BY))
    (problem,) = problems(graph(*nodes))
    assert problem.message == "the limit is by the input 'who', which gathers a list."


@pytest.mark.parametrize(
    "live",
    [
        node("a", OnChange(of=("who",)), bind={"who": RunInput(name="who")}, limit=BY),
        node("a", bind={"who": Value(value=1)}, limit=BY),
    ],
)
def test_a_limit_of_a_live_graph_is_not_by_a_value(live: NodeSpec) -> None:
    found = problems(graph(live, mode="live", inputs={"who": InputSpec()}))
    assert "a limit of a live graph is not by a value: the inputs of a task change." in {each.message for each in found}


def test_nodes_of_one_key_share_numbers_but_may_be_by_other_inputs() -> None:
    other = Limit(key="tenant", most=1, by=("whom",))
    first = node("a", bind={"who": Value(value=1)}, limit=BY)
    assert problems(graph(first, node("b", after("a"), bind={"whom": Value(value=1)}, limit=other))) == ()
    wrong = Limit(key="tenant", most=2, by=("whom",))
    (problem,) = problems(graph(first, node("b", after("a"), bind={"whom": Value(value=1)}, limit=wrong)))
    assert "gives the limit 'tenant' other numbers" in problem.message
