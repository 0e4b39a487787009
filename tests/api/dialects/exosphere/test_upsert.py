from __future__ import annotations

from typing import Any

import pytest

from api.dialects.exosphere.samples import body, node
from stoker.api.dialects.exosphere.refusals import Unprocessable
from stoker.api.dialects.exosphere.upsert import read_trigger, read_upsert
from stoker.api.dialects.exosphere.wire import Cron, Policy, StoreConfig, Trigger


def wrongs(given: object) -> list[tuple[str, str, str]]:
    """What is wrong: of which sort, where, and what is said."""
    with pytest.raises(Unprocessable) as refused:
        read_upsert(given)
    return [(one["type"], ".".join(map(str, one["loc"])), one["msg"]) for one in refused.value.entries]


def test_what_is_left_out_has_its_default_and_names_are_trimmed() -> None:
    read = read_upsert(body(node(" a ", " b "), node("b", unites=" a ")))
    assert (read.nodes[0].identifier, read.nodes[0].next_nodes, read.nodes[1].next_nodes) == ("a", ["b"], [])
    assert read.nodes[1].unites is not None
    assert (read.nodes[1].unites.identifier, read.nodes[1].unites.strategy) == ("a", "ALL_SUCCESS")
    assert (read.retry_policy, read.store_config, read.triggers) == (Policy(), StoreConfig(), [])


def test_what_is_missing_is_named_with_its_place() -> None:
    assert wrongs({"nodes": [{}]}) == [
        ("missing", "body.secrets", "Field required"),
        ("missing", "body.nodes.0.node_name", "Field required"),
        ("missing", "body.nodes.0.namespace", "Field required"),
        ("missing", "body.nodes.0.identifier", "Field required"),
        ("missing", "body.nodes.0.inputs", "Field required"),
    ]
    assert wrongs([]) == [("dict_type", "body", "Input should be a valid dictionary")]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"node_name": " "}, "Node name cannot be empty"),
        ({"identifier": ""}, "Node identifier cannot be empty"),
        ({"identifier": "store"}, "Node identifier cannot be reserved word 'store'"),
        (
            {"next_nodes": ["b", " ", "b "]},
            "Next node identifier cannot be empty\nNext node identifier b is not unique",
        ),
        ({"unites": {"identifier": " "}}, "Unites identifier cannot be empty"),
    ],
)
def test_a_field_of_a_node_is_refused_in_its_words(changed: dict[str, Any], message: str) -> None:
    ((sort, _, said),) = wrongs(body({**node("a"), **changed}))
    assert (sort, said) == ("value_error", f"Value error, {message}")


def test_a_name_is_bounded_and_well_formed() -> None:
    assert [said for _, _, said in wrongs(body(node("x" * 201)))] == [
        f"Value error, the name {'x' * 40!r}… has 201 bytes; the limit is 200"
    ]
    assert "control character" in wrongs(body(node("a"), secrets={"a\nb": "x"}))[0][2]


def test_a_policy_is_refused_by_number_and_by_name() -> None:
    policy = {"max_retries": -1, "strategy": "SOON", "backoff_factor": 0, "exponent": "two", "max_delay": True}
    assert wrongs(body(node("a"), retry_policy=policy)) == [
        (
            "enum",
            "body.retry_policy.strategy",
            (
                "Input should be 'EXPONENTIAL', 'EXPONENTIAL_FULL_JITTER', 'EXPONENTIAL_EQUAL_JITTER', 'LINEAR', "
                "'LINEAR_FULL_JITTER', 'LINEAR_EQUAL_JITTER', 'FIXED', 'FIXED_FULL_JITTER' or 'FIXED_EQUAL_JITTER'"
            ),
        ),
        ("greater_than_equal", "body.retry_policy.max_retries", "Input should be greater than or equal to 0"),
        ("greater_than", "body.retry_policy.backoff_factor", "Input should be greater than 0"),
        (
            "int_parsing",
            "body.retry_policy.exponent",
            "Input should be a valid integer, unable to parse string as an integer",
        ),
        ("int_type", "body.retry_policy.max_delay", "Input should be a valid integer"),
    ]


def test_a_policy_that_says_little_has_defaults_for_the_rest() -> None:
    read = read_upsert(body(node("a"), retry_policy={"max_retries": 0, "max_delay": None}))
    assert read.retry_policy == Policy(max_retries=0)


def test_all_that_is_wrong_with_keys_of_the_store_is_told_at_once() -> None:
    store = {"required_keys": ["a", "a ", " ", "a.b"], "default_values": {"x.y": "1", "z": 2}}
    assert wrongs(body(node("a"), store_config=store)) == [
        (
            "value_error",
            "body.store_config.required_keys",
            (
                "Value error, Key 'a' is duplicated\nKey cannot be empty or contain only whitespace\n"
                "Key 'a.b' cannot contain '.' character"
            ),
        ),
        ("string_type", "body.store_config.default_values.z", "Input should be a valid string"),
        ("value_error", "body.store_config.default_values", "Value error, Key 'x.y' cannot contain '.' character"),
    ]


def test_both_shapes_of_a_trigger_are_one_and_alike_ones_collapse() -> None:
    first = {"type": "CRON", "value": {"expression": "0 9 * * *", "timezone": "America/New_York"}}
    second = {"value": {"type": "CRON", "expression": "0 9 * * *", "timezone": "America/New_York"}}
    third = {"value": {"expression": "@hourly", "store": {"k": "v"}, "misfire": "skip"}}
    assert read_upsert(body(node("a"), triggers=[first, second, third])).triggers == [
        Trigger(value=Cron(expression="0 9 * * *", timezone="America/New_York")),
        Trigger(value=Cron(expression="@hourly", store={"k": "v"}, misfire="skip")),
    ]


@pytest.mark.parametrize(
    ("trigger", "where", "message"),
    [
        ({"value": {"expression": "0 9 * *"}}, "expression", "Value error, Invalid cron expression"),
        ({"value": {"expression": "0 9 31 2 *"}}, "expression", "Value error, Invalid cron expression"),
        ({"value": {"expression": "@often"}}, "expression", "Value error, Invalid cron expression"),
        ({"value": {"expression": "0 9 * * *", "timezone": "Mars"}}, "timezone", "Value error, Invalid timezone"),
        ({"type": "DAILY", "value": {"expression": "0 9 * * *"}}, "type", "Input should be 'CRON'"),
        ({"value": {}}, "expression", "Field required"),
    ],
)
def test_a_trigger_is_refused_at_its_place(trigger: dict[str, Any], where: str, message: str) -> None:
    assert [one[1:] for one in wrongs(body(node("a"), triggers=[trigger]))] == [(f"body.triggers.0.{where}", message)]


def test_what_a_trigger_gives_is_read_with_its_defaults() -> None:
    assert (read_trigger({}).start_delay, read_trigger({"start_delay": 5}).start_delay) == (0, 5)
    with pytest.raises(Unprocessable) as refused:
        read_trigger({"start_delay": -1, "inputs": {"a": 1}, "store": []})
    assert [(one["type"], one["loc"]) for one in refused.value.entries] == [
        ("greater_than_equal", ["body", "start_delay"]),
        ("string_type", ["body", "inputs", "a"]),
        ("dict_type", ["body", "store"]),
    ]
