"""Session templates as values: how what is sent becomes a draft, and drafts become files and drafts again."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from stoker.api.dialects.heat import bodies, exchange, fields, tree
from stoker.api.dialects.heat.nouns import nodetemplate, sessiontemplate
from stoker.api.dialects.heat.nouns.sessiontemplate import Record
from stoker.errors import Conflict, Invalid

TEMPLATES = {1: nodetemplate.Record(type=0), 2: nodetemplate.Record(type=2, accepts_multiple_inputs=True)}
NAMES = {1: "input", 2: "sum"}


def ids(start: int = 1) -> Callable[[], int]:
    return itertools.count(start).__next__


def sent(**body: Any) -> sessiontemplate.SessionTemplateChange:
    decoded = bodies.decode(msgspec.json.encode(body), fields.decoder(sessiontemplate.SessionTemplateChange))
    assert isinstance(decoded, sessiontemplate.SessionTemplateChange)
    return decoded


def sent_node(**body: Any) -> sessiontemplate.NodeChange:
    decoded = bodies.decode(msgspec.json.encode(body), fields.decoder(sessiontemplate.NodeChange))
    assert isinstance(decoded, sessiontemplate.NodeChange)
    return decoded


def draft(**body: Any) -> Record:
    return sessiontemplate.changed(Record(), sent(**body), ids())


def edges(record: Record) -> dict[str, list[str]]:
    names = {node.id: node.name for node in record.nodes}
    return {node.name: [names[parent] for parent in node.parents] for node in record.nodes}


TWO = [{"name": "a", "nodeTemplateId": 1}, {"name": "b", "nodeTemplateId": 2, "parents": [{"name": "a"}]}]


def test_parents_are_found_by_the_ids_of_the_body_and_else_by_name() -> None:
    nodes = [
        {"id": 70, "name": "a", "nodeTemplateId": 1},
        {"id": 71, "name": "b", "nodeTemplateId": 2, "parentIds": [70]},
        {"name": "c", "nodeTemplateId": 2, "parents": [{"id": 71}, {"name": "a"}, {"id": 70}]},
    ]
    record = draft(nodes=nodes)
    assert edges(record) == {"a": [], "b": ["a"], "c": ["b", "a"]}
    assert [node.id for node in record.nodes] == [1, 2, 3]


def test_nodes_that_are_absent_stay_and_nodes_that_are_given_replace_the_set() -> None:
    before = draft(nodes=TWO, description="d")
    assert sessiontemplate.changed(before, sent(description="e"), ids(9)).nodes == before.nodes
    after = sessiontemplate.changed(before, sent(nodes=[{"name": "b"}, {"name": "c", "nodeTemplateId": 1}]), ids(9))
    assert [(node.id, node.name) for node in after.nodes] == [(2, "b"), (9, "c")]
    assert after.description == "d"


def test_a_node_without_a_name_gets_one_of_its_id() -> None:
    assert [node.name for node in draft(nodes=[{"nodeTemplateId": 1}]).nodes] == ["node-1"]


def test_edges_stay_where_a_change_names_none_and_go_where_it_names_no_parents() -> None:
    before = draft(nodes=TWO)
    node = before.nodes[1]
    renamed = sessiontemplate.with_change(before, node, sent_node(name="c", defaultConfiguration={"x": 1}))
    assert edges(renamed) == {"a": [], "c": ["a"]}
    assert renamed.nodes[1].default_configuration == '{"x":1}'
    assert edges(sessiontemplate.with_change(before, node, sent_node(parentIds=[]))) == {"a": [], "b": []}


def test_a_node_can_be_added_below_others() -> None:
    record = sessiontemplate.with_node(draft(nodes=TWO), sent_node(nodeTemplateId=2, parents=[{"id": 1}, {"id": 2}]), 7)
    assert edges(record)["node-7"] == ["a", "b"]


@pytest.mark.parametrize(
    ("nodes", "error"),
    [
        ([{"name": "a"}], Invalid),
        ([{"name": "a", "nodeTemplateId": 9}], Invalid),
        ([{"name": "a", "nodeTemplateId": 1, "parents": [{"name": "z"}]}], Invalid),
        ([{"name": "a", "nodeTemplateId": 1}, {"name": "a", "nodeTemplateId": 1}], Conflict),
        ([*TWO, {"name": "c", "nodeTemplateId": 1, "parents": [{"name": "a"}, {"name": "b"}]}], Invalid),
        ([{"id": 5, "name": "a", "nodeTemplateId": 2, "parentIds": [5]}], Invalid),
    ],
)
def test_a_draft_that_is_wrong_is_refused(nodes: list[dict[str, Any]], error: type[Exception]) -> None:
    with pytest.raises(error):
        sessiontemplate.check(draft(nodes=nodes), TEMPLATES)


def test_a_draft_that_is_right_is_taken() -> None:
    sessiontemplate.check(draft(nodes=TWO), TEMPLATES)


def imported(file: dict[str, Any]) -> Record:
    decoded = bodies.decode(msgspec.json.encode(file), fields.decoder(exchange.SessionTemplateFile))
    return exchange.imported(decoded, file, {name: id_ for id_, name in NAMES.items()}, ids(40))


def test_a_file_gives_the_same_draft_under_new_ids_and_keeps_what_is_not_known_here() -> None:
    file = exchange.exported("t", draft(nodes=TWO, configuration='{"retentionPolicy": {"mode": "KeepAll"}}'), NAMES)
    file["colour"] = "red"
    file["nodes"][1]["position"] = [1, 2]
    again = imported(file)
    assert edges(again) == {"a": [], "b": ["a"]}
    assert [node.id for node in again.nodes] == [40, 41]
    assert exchange.exported("t", again, NAMES) == file


def test_a_file_may_say_its_json_as_text() -> None:
    record = imported({"name": "t", "configuration": '{"a": 1}', "nodes": []})
    assert exchange.exported("t", record, NAMES)["configuration"] == {"a": 1}


@pytest.mark.parametrize(
    ("nodes", "error"),
    [
        ([{"name": "a", "nodeTemplateName": "unknown"}], Invalid),
        ([{"name": "a", "nodeTemplateName": "sum"}, {"name": "a", "nodeTemplateName": "sum"}], Conflict),
        ([{"name": "a", "nodeTemplateName": "sum", "parents": ["z"]}], Invalid),
    ],
)
def test_a_file_that_is_wrong_is_refused(nodes: list[dict[str, Any]], error: type[Exception]) -> None:
    with pytest.raises(error):
        sessiontemplate.check(imported({"name": "t", "nodes": nodes}), TEMPLATES)


@pytest.mark.parametrize(
    ("schema", "taken"),
    [
        ("{}", True),
        ("true", True),
        ('{"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {}}}', True),
        ('{"$ref": "http://127.0.0.1:9/schema.json"}', False),
        ('{"$ref": "file:///etc/passwd"}', False),
        ('{"type": 7}', False),
        ("[]", False),
        ("{", False),
    ],
)
def test_a_schema_is_compiled_and_may_refer_only_to_itself(schema: str, taken: bool) -> None:
    record = nodetemplate.Record(type=2, input_schema=schema)
    assert (nodetemplate.fault("sum", record) is None) is taken


def test_the_names_of_the_engines_own_kinds_are_no_names_of_node_templates() -> None:
    assert nodetemplate.fault("stoker.input", nodetemplate.Record(type=2)) is not None


def test_a_node_that_is_its_own_ancestor_is_found_in_a_draft_of_many() -> None:
    nodes = [tree.Node(id=i, name=f"n{i}", node_template_id=2, parents=(i % 50 + 1,)) for i in range(1, 51)]
    with pytest.raises(Invalid, match="are a cycle"):
        sessiontemplate.check(Record(nodes=tuple(nodes)), TEMPLATES)
