from __future__ import annotations

import pytest

from api.dialects.exosphere.samples import KINDS, NS, WORK, body, node, schema, upsert
from stoker.api.dialects.exosphere.checks import Registered, faults, refusals, warnings
from stoker.api.dialects.exosphere.upsert import read_upsert
from stoker.api.dialects.exosphere.wire import Upsert
from stoker.core.graph import KindSpec

HEAD = "Error validating graph template: "


def refused(given: Upsert, name: str = "g", namespace: str = NS) -> list[str]:
    """The messages of the group that refuses it."""
    found = refusals(name, namespace, given)
    if not found:
        return []
    (text,) = found
    assert text.startswith(HEAD)
    return text.removeprefix(HEAD).split("\n")


def test_a_plain_template_is_neither_refused_nor_doubted() -> None:
    plain = upsert(node("a", "b"), node("b", inputs={"x": "${{ a.outputs.x }}"}))
    assert (refusals("g", NS, plain), faults(plain, KINDS), warnings(plain)) == ([], [], [])


def test_the_first_group_that_has_a_message_wins() -> None:
    twice = upsert(node("a", "b"), node("a"), node("a", "zzz", unites="a"))
    assert refused(twice, " ", " ") == ["Name cannot be empty", "Namespace cannot be empty"]
    assert refused(twice) == ["Node identifier a is not unique"] * 2
    assert refused(upsert(node("a", "b"))) == ["Node identifier b does not exist in the graph"]


def test_an_anchor_is_another_node_of_the_graph() -> None:
    given = upsert(node("a", "b", "c"), node("b", unites="z"), node("c", unites="c"))
    assert refused(given) == [
        "Node b has an unites target z that does not exist",
        "Node c has an unites target c that is the same as the node itself",
    ]


@pytest.mark.parametrize(
    ("nodes", "count", "names"),
    [
        ([], 0, []),
        ([node("a"), node("b")], 2, ["a", "b"]),
        ([node("a", "b"), node("b", "a")], 0, []),
        ([node("a", unites="b"), node("b", unites="a")], 0, []),
    ],
)
def test_a_graph_has_one_root(nodes: list[dict[str, object]], count: int, names: list[str]) -> None:
    message = f"There should be exactly one root node in the graph but found {count} nodes with zero in-degree: {names}"
    assert refused(upsert(*nodes)) == [message]


def test_everything_is_reached_from_the_root_and_nothing_leads_back() -> None:
    ring = [node("b", "c"), node("c", "b")]
    assert refused(upsert(node("a"), *ring)) == [
        "Node b is not connected to the root node",
        "Node c is not connected to the root node",
    ]
    assert refused(upsert(node("a", "u"), *ring, node("u", unites="b"))) == [
        "Error building dependency graph: Graph is disconnected at: {'u'}"
    ]
    assert refused(upsert(node("a", "b"), *ring)) == ["Node b is not acyclic", "Node c is not acyclic"]
    assert refused(upsert(node("a"), node("u", unites="a"))) == ["Node u is not connected to the root node"]


def test_inputs_name_what_lies_above_and_keys_that_are_declared() -> None:
    inputs = {
        "n": 5,
        "self": "${{ b.outputs.x }}",
        "sibling": "<${{ c.outputs.x }}>",
        "unknown": "${{ z.outputs.x }}",
        "key": "${{ store.k }} ${{ store.no }}",
        "bad": "${{ k }}",
        "open": "price ${{ 5",
    }
    store = {"required_keys": ["k"]}
    given = upsert(node("a", "b", "c"), node("b", inputs=inputs), node("c"), store_config=store)
    assert refused(given) == [
        "Input 5 is not a string",
        "Input ${{ b.outputs.x }} depends on b but b is not a parent of b",
        "Input <${{ c.outputs.x }}> depends on c but c is not a parent of b",
        "Input ${{ z.outputs.x }} depends on z but z is not a parent of b",
        "Input ${{ store.k }} ${{ store.no }} depends on no but no is not a required key or a default value",
        (
            "Error creating dependent string for input ${{ k }} check syntax string: "
            "Invalid syntax string placeholder  k  for: ${{ k }}"
        ),
        (
            "Error creating dependent string for input price ${{ 5 check syntax string: "
            "Invalid syntax string placeholder  5 for: price ${{ 5 '${' not closed"
        ),
    ]


def reads(*names: str) -> dict[str, str]:
    return {name: f"${{{{ {name}.outputs.x }}}}" for name in names}


def test_a_join_reads_its_branches_and_what_follows_it_does_not() -> None:
    def sample(join: tuple[str, ...], after: tuple[str, ...]) -> Upsert:
        return upsert(
            node("a", "s"),
            node("s", "b", "side"),
            node("b", "u"),
            node("side"),
            node("u", "v", unites="s", inputs=reads(*join)),
            node("v", inputs=reads(*after)),
        )

    assert refused(sample(("a", "s", "b"), ("a", "u"))) == []
    assert refused(sample(("side", "u"), ("b", "s"))) == [
        f"Input ${{{{ {name}.outputs.x }}}} depends on {name} but {name} is not a parent of {reader}"
        for name, reader in (("side", "u"), ("u", "u"), ("b", "v"), ("s", "v"))
    ]


def test_a_node_that_several_ways_lead_to_reads_what_lies_on_all_of_them() -> None:
    diamond = [node("a", "b", "c"), node("b", "d"), node("c", "d")]
    assert refused(upsert(*diamond, node("d", inputs=reads("a")))) == []
    assert refused(upsert(*diamond, node("d", inputs=reads("b")))) == [
        "Input ${{ b.outputs.x }} depends on b but b is not a parent of d"
    ]


def test_kinds_and_secrets_that_are_missing_are_told_once() -> None:
    secretive = Registered(KindSpec(name="Secretive", secrets=("KEY", "PIN"), items="many"))
    kinds = {**KINDS, (NS, "Secretive"): secretive}
    given = upsert(
        node("a", "b", node_name="Secretive"),
        node("b", "c", node_name="Secretive"),
        node("c", "d", node_name="No"),
        node("d", node_name="No"),
        secrets={"PIN": ""},
    )
    assert faults(given, kinds) == [
        f"Node No in namespace {NS} does not exist",
        "Secret KEY is required but not present in the graph template",
    ]


def test_inputs_are_texts_and_required_ones_are_given() -> None:
    wants = schema("x", "n", optional=("y", "m"), n="integer", m="integer")
    kinds = {(NS, "Work"): Registered(KindSpec(name="Work", input=wants))}
    assert faults(upsert(node("a", inputs={"n": "1", "extra": "1"})), kinds) == [
        f"Input x in node Work in namespace {NS} is not present in the graph template",
        f"Input n in node Work in namespace {NS} is not a string",
    ]
    assert faults(upsert(node("a", inputs={"x": "", "n": "1", "m": "1"})), kinds)[1:] == [
        f"Input m in node Work in namespace {NS} is not a string"
    ]


def test_an_input_with_a_default_may_be_left_out() -> None:
    assert faults(upsert(node("a")), {(NS, "Work"): Registered(WORK)}) == []


def test_fields_that_are_read_are_texts_of_the_kind() -> None:
    gives = KindSpec(name="Work", output=schema(optional=("x", "n"), n="integer"), items="many")
    inputs = {"x": "${{ a.outputs.no }}", "y": "${{ a.outputs.n }}", "z": "${{ a.outputs.x }}"}
    given = upsert(node("a", "b"), node("b", inputs=inputs))
    assert faults(given, {(NS, "Work"): Registered(gives)}) == [
        f"Field no in node Work in namespace {NS} does not exist",
        f"Field n in node Work in namespace {NS} is not a string",
    ]


def test_types_are_of_no_concern_to_kinds_that_were_registered_elsewhere() -> None:
    given = upsert(
        node("a", "b", node_name="Native", inputs={"n": "5"}),
        node("b", inputs={"x": "${{ a.outputs.n }}", "y": "${{ a.outputs.whatever }}"}),
    )
    assert faults(given, KINDS) == []
    bare = upsert(node("a", node_name="Native"))
    assert faults(bare, KINDS) == [f"Input n in node Native in namespace {NS} is not present in the graph template"]


def test_an_anchor_lies_above_and_all_that_leads_to_the_join_below_it() -> None:
    beside = upsert(node("a", "b", "c"), node("b", "u"), node("c"), node("u", unites="c"))
    assert faults(beside, KINDS) == ["Node u unites c but c is not an ancestor of u"]
    around = upsert(node("a", "s", "c"), node("s", "u"), node("c", "u"), node("u", unites="s"))
    assert faults(around, KINDS) == ["Node c leads to u but is not below s"]
    closed = upsert(node("a", "s"), node("s", "b"), node("b", "j"), node("j", "u", unites="a"), node("u", unites="s"))
    assert faults(closed, KINDS) == ["Node j leads to u but is not below s"]


def test_ways_that_multiply_are_warned_of() -> None:
    def diamonds(count: int) -> Upsert:
        nodes = [node("a0", "b0", "c0")]
        for at in range(count):
            nodes += [node(f"{side}{at}", f"a{at + 1}") for side in "bc"]
            nodes.append(node(f"a{at + 1}", *([f"b{at + 1}", f"c{at + 1}"] if at + 1 < count else [])))
        return upsert(*nodes)

    assert warnings(diamonds(2)) == [
        "Node a1 is reached over 2 paths and runs once per path",
        "Node a2 is reached over 4 paths and runs once per path",
    ]
    assert warnings(diamonds(30))[-1] == "Node a30 is reached over 1073741824 paths and runs once per path"
    assert warnings(diamonds(1600))[-1].startswith("Node a1600 is reached over more than 1000000000000000000 paths")
    united = upsert(node("a", "b", "c"), node("b", "d"), node("c", "d"), node("d", unites="a"))
    assert warnings(united) == []


def test_too_many_nodes_are_told_before_anything_else() -> None:
    many = read_upsert(body(*[node("a")] * 5_001))
    assert refusals("g", NS, many) == ["Graph has 5001 nodes, the limit is 5000"]
