"""What becomes of a join, for every end that its branches may come to, in every order."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from api.dialects.exosphere.conftest import Spoken
from api.dialects.exosphere.putting import put, start
from api.dialects.exosphere.samples import node
from api.dialects.exosphere.sdk import Sdk
from engine.plant import NS as HOME

OK, FAILED, PRUNED = "executed", "errored", "prune"
CASES: list[tuple[list[str], dict[bool, tuple[str, str]]]] = [
    # how the three branches end, and by whether the join takes any end: the join, the run
    ([OK, OK, OK], {False: ("SUCCEEDED", "SUCCEEDED"), True: ("SUCCEEDED", "SUCCEEDED")}),
    ([FAILED, OK, OK], {False: ("SKIPPED", "FAILED"), True: ("SUCCEEDED", "FAILED")}),
    ([OK, OK, FAILED], {False: ("SKIPPED", "FAILED"), True: ("SUCCEEDED", "FAILED")}),
    ([PRUNED, OK, OK], {False: ("SUCCEEDED", "SUCCEEDED"), True: ("SUCCEEDED", "SUCCEEDED")}),
    ([OK, OK, PRUNED], {False: ("SUCCEEDED", "SUCCEEDED"), True: ("SUCCEEDED", "SUCCEEDED")}),
    ([PRUNED, PRUNED, PRUNED], {False: ("SKIPPED", "SUCCEEDED"), True: ("SUCCEEDED", "SUCCEEDED")}),
]


async def end(sdk: Sdk, state: dict[str, Any], how: str) -> None:
    match how:
        case "executed":
            await sdk.executed(state["state_id"], {"x": state["inputs"]["x"]})
        case "errored":
            await sdk.errored(state["state_id"])
        case _:
            await sdk.prune(state["state_id"])


async def merged(spoken: Spoken, sdk: Sdk, ends: list[str], *, at_once: bool) -> tuple[str, str, list[str]]:
    """The states of the join and of the run, and what the join was given."""
    run = await spoken.plant.engine.opaque.run(await start(sdk))
    assert run is not None
    await sdk.executed((await sdk.take())["state_id"], {})
    await sdk.executed((await sdk.take())["state_id"], *({"x": f"{at}"} for at in range(3)))
    branches = await sdk.enqueue()
    if at_once:
        await asyncio.gather(*(end(sdk, state, how) for state, how in zip(branches, ends, strict=True)))
    else:
        for state, how in zip(branches, ends, strict=True):
            await end(sdk, state, how)
    given = []
    for state in await sdk.enqueue():
        given.append(state["inputs"]["x"])
        await sdk.executed(state["state_id"], {})
    (join,) = await spoken.plant.tasks(run, "m")
    return join.state, (await spoken.plant.run(run)).state, given


@pytest.mark.parametrize("done", [False, True])
async def test_every_end_of_the_branches_decides_the_join_as_the_table_says(
    spoken: Spoken, sdk: Sdk, done: bool
) -> None:
    """Each case once with the reports one after the other, the deciding one last, and once with all of them at once."""
    for anchor in ("a", "s"):
        await put(
            sdk,
            node("a", "s"),
            node("s", "b"),
            node("b", "m", inputs={"x": "${{ s.outputs.x }}"}),
            node("m", unites=anchor, done=done, inputs={"x": "${{ b.outputs.x }}"}),
            retry_policy={"max_retries": 0},
        )
        for ends, expected in CASES:
            fired = expected[done][0] == "SUCCEEDED"
            array = ",".join(f'"{at}"' for at, how in enumerate(ends) if how == OK)
            for at_once in (False, True):
                found = await merged(spoken, sdk, ends, at_once=at_once)
                assert found == (*expected[done], [f"[{array}]"] if fired else []), (anchor, ends, at_once)


async def test_a_join_per_anchor_task_and_one_over_all(spoken: Spoken, sdk: Sdk) -> None:
    """Three pages with two words each: one join over the six, three joins over two."""
    nodes = [
        node("s", "b"),
        node("b", "c"),
        node("c", "all", "each"),
        node("all", unites="s", inputs={"x": "${{ c.outputs.x }}"}),
        node("each", unites="b", inputs={"x": "${{ c.outputs.x }}"}),
    ]
    await put(sdk, *nodes)
    await start(sdk)
    await sdk.executed((await sdk.take())["state_id"], {}, {}, {})
    for state in await sdk.enqueue():
        await sdk.executed(state["state_id"], {}, {})
    for number, state in enumerate(await sdk.enqueue()):
        await sdk.executed(state["state_id"], {"x": f"{number}"})
    found = sorted((state["identifier"], state["inputs"]["x"]) for state in await sdk.enqueue())
    assert [name for name, _ in found] == ["all", "each", "each", "each"]
    assert found[0][1].count('"') == 12


async def test_two_joins_on_one_anchor_fire_and_a_side_branch_holds_neither_up(spoken: Spoken, sdk: Sdk) -> None:
    await put(
        sdk,
        node("a", "b", "c", "side", "direct"),
        node("b", "u"),
        node("c", "v"),
        node("side"),
        node("u", unites="a"),
        node("v", unites="a"),
        node("direct", unites="a", inputs={"x": "${{ a.outputs.x }}"}),
    )
    await start(sdk)
    await sdk.executed((await sdk.take())["state_id"], {"x": "once"})
    states = {state["identifier"]: state for state in await sdk.enqueue()}
    assert states.keys() == {"b", "c", "side", "direct"}
    assert states["direct"]["inputs"] == {"x": "once"}
    await sdk.executed(states["b"]["state_id"], {})
    await sdk.executed(states["c"]["state_id"], {})
    assert sorted(state["identifier"] for state in await sdk.enqueue()) == ["u", "v"]


async def test_a_failure_within_an_inner_join_that_takes_any_end_is_not_seen_further_out(sdk: Sdk) -> None:
    await put(
        sdk,
        node("a", "b"),
        node("b", "inner"),
        node("inner", "outer", unites="a", done=True),
        node("outer", unites="a"),
        retry_policy={"max_retries": 0},
    )
    await start(sdk)
    await sdk.executed((await sdk.take())["state_id"], {})
    await sdk.errored((await sdk.take())["state_id"])
    inner = await sdk.take()
    assert inner["identifier"] == "inner"
    await sdk.executed(inner["state_id"], {})
    assert (await sdk.take())["identifier"] == "outer"


async def test_no_output_is_one_empty_item_for_children_and_joins(sdk: Sdk) -> None:
    await put(
        sdk,
        node("a", "b"),
        node("b", "m", inputs={"x": "kept"}),
        node("m", unites="a", inputs={"x": "${{ b.outputs.x }}"}),
    )
    await start(sdk)
    await sdk.executed((await sdk.take())["state_id"])
    await sdk.executed((await sdk.take())["state_id"])
    assert (await sdk.take())["inputs"] == {"x": "[null]"}


async def test_thirty_diamonds_are_valid_and_the_run_names_the_limit(spoken: Spoken, sdk: Sdk) -> None:
    nodes = [node("a0", "b0", "c0")]
    for at in range(30):
        following = [f"b{at + 1}", f"c{at + 1}"] if at < 29 else []
        nodes += [node(f"b{at}", f"a{at + 1}"), node(f"c{at}", f"a{at + 1}"), node(f"a{at + 1}", *following)]
    answer = await put(sdk, *nodes)
    assert (answer["validation_status"], len(answer["warnings"])) == ("VALID", 30)
    version = await spoken.plant.engine.catalog.version(HOME, "g", None)
    beyond = {each.beyond for each in version.graph.nodes if each.beyond}
    assert any("to 'b10', is beyond it" in each for each in beyond)
