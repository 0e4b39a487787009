"""Runtimes at work, over real connections: states are claimed, reported on and lost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from api.dialects.exosphere.conftest import Spoken
from api.dialects.exosphere.sdk import Sdk
from engine.plant import NS, after, node
from stoker.core.graph import Ref, Retry, Value
from stoker.core.views import TokenRequest

TWICE = Retry(attempts=2, strategy="fixed", base="2s")


async def begun(spoken: Spoken, *nodes: Any, **more: Any) -> tuple[Sdk, int]:
    """A runtime, and a run of these nodes (or one)."""
    await spoken.plant.push(*(nodes or (node("a"),)), **more)
    return spoken.sdk(), await spoken.plant.trigger()


async def taken(spoken: Spoken, *nodes: Any, **more: Any) -> tuple[Sdk, str, int]:
    """A runtime, the state that it was given, and its run."""
    sdk, run = await begun(spoken, *nodes, **more)
    return sdk, (await sdk.take())["state_id"], run


def refusal(status: str, reason: str) -> list[dict[str, Any]]:
    """What all four sorts of report are answered that change nothing."""
    said = {"status": status, "accepted": False, "reason": reason}
    return [said, said | {"retry_created": False}, said, said]


def without_due(answers: list[Any]) -> list[dict[str, Any]]:
    """The answers without the times, which those to signals have."""
    assert [type(answer.get("enqueue_after")) for answer in answers] == [type(None), type(None), int, int]
    return [{name: value for name, value in answer.items() if name != "enqueue_after"} for answer in answers]


async def test_a_state_is_given_with_its_inputs_and_executed(everywhere: Spoken) -> None:
    sdk, run = await begun(
        everywhere,
        node("a", bind={"x": Value(value="1")}),
        node("b", after("a"), bind={"y": Ref(node="a", path=("out",))}),
    )
    state = await sdk.take()
    assert state == {
        "state_id": state["state_id"],
        "node_name": "one",
        "identifier": "a",
        "inputs": {"x": "1"},
        "created_at": "2023-11-14T22:13:20.000Z",
    }
    assert await sdk.executed(state["state_id"], {"out": "next"}) == {"status": "EXECUTED"}
    assert (await sdk.take())["inputs"] == {"y": "next"}
    assert await everywhere.plant.states(run) == ["SUCCEEDED", "LEASED"]


async def test_inputs_that_are_no_texts_are_given_as_json_text(spoken: Spoken) -> None:
    values = {"number": 1.5, "object": {"a": [1, None]}, "null": None, "true": True, "text": "t", "lone": "x"}
    sdk, _ = await begun(spoken, node("a", bind={name: Value(value=value) for name, value in values.items()}))
    assert (await sdk.take())["inputs"] == {
        "number": "1.5",
        "object": '{"a":[1,null]}',
        "null": "null",
        "true": "true",
        "text": "t",
        "lone": "x",
    }


async def test_no_outputs_let_the_flow_go_on_with_one_empty_item(spoken: Spoken) -> None:
    sdk, state, run = await taken(spoken, node("a", kind="many"), node("b", after("a")))
    assert await sdk.executed(state) == {"status": "EXECUTED"}
    assert await spoken.plant.states(run) == ["SUCCEEDED", "READY"]


async def test_every_output_is_an_item(spoken: Spoken) -> None:
    sdk, state, _run = await taken(
        spoken, node("a", kind="many"), node("b", after("a"), bind={"n": Ref(node="a", path=("n",))})
    )
    assert await sdk.executed(state, *({"n": str(number)} for number in range(3))) == {"status": "EXECUTED"}
    assert [state["inputs"]["n"] for state in await sdk.enqueue()] == ["0", "1", "2"]


async def test_nothing_is_given_for_an_empty_batch_or_no_nodes(spoken: Spoken) -> None:
    sdk, run = await begun(spoken)
    assert await sdk.enqueue(0) == []
    assert await sdk.enqueue(-3) == []
    assert await spoken.sdk("other").enqueue() == []
    sdk.nodes = []
    assert await sdk.enqueue() == []
    assert await spoken.plant.states(run) == ["READY"]


async def test_an_error_is_retried_by_the_policy_and_then_final(everywhere: Spoken) -> None:
    sdk, state, run = await taken(everywhere, node("a", retry=TWICE))
    assert await sdk.errored(state, "a\ud800\0b") == {"status": "ERRORED", "retry_created": True}
    assert without_due(await sdk.all_four(state)) == refusal("RETRY_CREATED", "superseded")
    assert await sdk.enqueue() == []
    await everywhere.plant.pass_time(2)
    again = (await sdk.take())["state_id"]
    assert again != state
    assert without_due(await sdk.all_four(state)) == refusal("RETRY_CREATED", "superseded")
    assert await sdk.errored(again) == {"status": "ERRORED", "retry_created": False}
    assert without_due(await sdk.all_four(again)) == refusal("ERRORED", "settled")
    (task,) = await everywhere.plant.tasks(run)
    (first, second) = await everywhere.plant.engine.views.attempts(NS, task.id)
    assert (task.state, first.message, second.message) == ("FAILED", "a\ufffd\ufffdb", "it broke")


async def test_a_report_after_success_changes_nothing(spoken: Spoken) -> None:
    sdk, state, run = await taken(spoken)
    await sdk.executed(state, {})
    assert without_due(await sdk.all_four(state)) == refusal("SUCCESS", "settled")
    assert await spoken.plant.states(run) == ["SUCCEEDED"]


async def test_a_pruned_state_keeps_what_it_was_given_and_has_nothing_below_it(spoken: Spoken) -> None:
    sdk, state, run = await taken(spoken, node("a"), node("b", after("a")))
    answer = await sdk.prune(state, why=["é", {"n": 1}], long="x" * 100_000)
    assert answer == {"status": "PRUNED", "enqueue_after": 1_700_000_000_000}
    assert without_due(await sdk.all_four(state)) == refusal("PRUNED", "settled")
    (task,) = await spoken.plant.tasks(run)
    (attempt,) = await spoken.plant.engine.views.attempts(NS, task.id)
    assert json.loads(attempt.message) == {"why": ["é", {"n": 1}], "long": "x" * 100_000}


async def test_a_state_that_goes_back_is_given_again_after_its_delay_under_a_new_id(spoken: Spoken) -> None:
    sdk, state, run = await taken(spoken)
    assert await sdk.requeue(state, 1_500) == {"status": "CREATED", "enqueue_after": 1_700_000_001_500}
    assert without_due(await sdk.all_four(state)) == refusal("RETRY_CREATED", "superseded")
    await spoken.plant.pass_time(1.499)
    assert await sdk.enqueue() == []
    await spoken.plant.pass_time(0.001)
    again = (await sdk.take())["state_id"]
    assert again != state
    assert await sdk.requeue(again, 0) == {"status": "CREATED", "enqueue_after": 1_700_000_001_501}
    (task,) = await spoken.plant.tasks(run)
    assert (task.failures, task.losses) == (0, 0)


async def test_a_lost_state_is_given_again_and_its_old_id_is_superseded_before_that(everywhere: Spoken) -> None:
    sdk, state, run = await taken(everywhere)
    await everywhere.plant.pass_time(900)
    assert without_due(await sdk.all_four(state)) == refusal("RETRY_CREATED", "superseded")
    again = (await sdk.take())["state_id"]
    assert without_due(await sdk.all_four(state)) == refusal("RETRY_CREATED", "superseded")
    assert await sdk.executed(again, {}) == {"status": "EXECUTED"}
    assert await everywhere.plant.states(run) == ["SUCCEEDED"]


async def test_reports_on_a_cancelled_run_close_it_and_one_that_succeeds_unlocks_nothing(everywhere: Spoken) -> None:
    sdk, run = await begun(everywhere, node("a"), node("b"), node("c"), node("d"), node("e"), node("f", after("a")))
    a, b, c, d, e = [state["state_id"] for state in await sdk.enqueue()]
    await everywhere.plant.engine.runs.cancel(NS, run)
    closed = {"status": "ERRORED", "accepted": False, "reason": "run_closed"}
    assert await sdk.executed(a, {}) == {"status": "EXECUTED"}
    assert await sdk.errored(b) == {**closed, "retry_created": False}
    assert without_due([*[{}] * 2, await sdk.prune(c), await sdk.requeue(d, 5)])[2:] == [closed, closed]
    await everywhere.plant.pass_time(31)
    assert await sdk.executed(e, {}) == closed
    assert await everywhere.plant.states(run) == ["SUCCEEDED", *["CANCELLED"] * 4]


async def test_an_id_that_was_never_given_out_is_unknown(spoken: Spoken) -> None:
    sdk, state, run = await taken(spoken)
    for unknown in (state[:-1] + "x", "nonsense", "1-1", state.replace("-1-", "-2-", 1)):
        assert await sdk.all_four(unknown) == [
            {"status": "UNKNOWN", "accepted": False, "reason": "unknown"},
            {"status": "UNKNOWN", "accepted": False, "reason": "unknown", "retry_created": False},
            {"status": "UNKNOWN", "accepted": False, "reason": "unknown", "enqueue_after": 0},
            {"status": "UNKNOWN", "accepted": False, "reason": "unknown", "enqueue_after": 0},
        ]
        assert await sdk.ask("GET", f"state/{unknown}/secrets") == (404, {"detail": "State not found"})
    assert await spoken.plant.states(run) == ["LEASED"]


async def test_a_state_of_another_namespace_is_unknown(spoken: Spoken) -> None:
    sdk, state, run = await taken(spoken)
    elsewhere = spoken.sdk(namespace="elsewhere")
    assert (await elsewhere.executed(state))["reason"] == "unknown"
    assert await elsewhere.ask("GET", f"state/{state}/secrets") == (404, {"detail": "State not found"})
    assert await spoken.plant.states(run) == ["LEASED"]
    assert await sdk.executed(state, {}) == {"status": "EXECUTED"}


@pytest.mark.parametrize(
    ("verb", "body", "why"),
    [
        ("executed", b'{"outputs":[{"a":NaN}]}', "NaN or an infinity"),
        ("executed", b'{"outputs":[{"a":' + b"[" * 70 + b"]" * 70 + b"}]}", "nested deeper than 64"),
        ("executed", b'{"outputs":[' + b"{}," * 100_000 + b"{}]}", "100000"),
        ("executed", b'{"outputs":[{"a":"' + b"x" * 9_000_000 + b'"}]}', "8388608 bytes"),
        ("prune", b'{"data":{"a":-Infinity}}', "NaN or an infinity"),
    ],
)
async def test_what_cannot_be_kept_fails_the_state_which_is_retried(
    spoken: Spoken, verb: str, body: bytes, why: str
) -> None:
    sdk, state, run = await taken(spoken, node("a", kind="many", retry=TWICE))
    status, answer = await sdk.ask("POST", f"state/{state}/{verb}", body)
    answer.pop("enqueue_after", None)
    said = {"status": "ERRORED", "accepted": False, "reason": "invalid_output", "retry_created": True}
    assert (status, answer) == (200, said)
    (task,) = await spoken.plant.tasks(run)
    (attempt,) = await spoken.plant.engine.views.attempts(NS, task.id)
    assert (task.state, attempt.code) == ("READY", "invalid_output")
    assert why in attempt.message
    await spoken.plant.pass_time(2)
    again = (await sdk.take())["state_id"]
    _, answer = await sdk.ask("POST", f"state/{again}/{verb}", body)
    assert answer["retry_created"] is False


async def test_lone_surrogates_and_nul_go_from_outputs_to_inputs(everywhere: Spoken) -> None:
    sdk, state, _ = await taken(everywhere, node("a"), node("b", after("a"), bind={"x": Ref(node="a", path=("x",))}))
    _, answer = await sdk.ask("POST", f"state/{state}/executed", b'{"outputs":[{"x":"a\\u0000\\ud800z"}]}')
    assert answer == {"status": "EXECUTED"}
    assert (await sdk.take())["inputs"] == {"x": "a\0\ud800z"}


async def test_an_error_over_the_limit_is_an_error_with_its_text_cut(spoken: Spoken) -> None:
    sdk, state, run = await taken(spoken)
    assert await sdk.errored(state, "boom " + "x" * 9_000_000) == {"status": "ERRORED", "retry_created": False}
    (task,) = await spoken.plant.tasks(run)
    (attempt,) = await spoken.plant.engine.views.attempts(NS, task.id)
    assert attempt.message.startswith("boom xxx")
    assert len(attempt.message) <= 65_536


async def test_a_body_that_is_none_of_a_report_is_told_and_changes_nothing(spoken: Spoken) -> None:
    sdk, state, run = await taken(spoken)
    for path, body, sort in [
        (f"state/{state}/executed", b'{"outputs":', "json_invalid"),
        (f"state/{state}/executed", b"{}", "missing"),
        (f"state/{state}/re-enqueue-after", b'{"enqueue_after":-1}', "greater_than_equal"),
        ("states/enqueue", b'{"nodes":["a\\n"],"batch_size":1}', "value_error"),
        ("states/enqueue", b'{"nodes":["a"]}', "missing"),
    ]:
        status, answer = await sdk.ask("POST", path, body)
        assert (status, answer["detail"][0]["type"]) == (422, sort)
    assert await spoken.plant.states(run) == ["LEASED"]


async def test_older_clients_report_on_plural_paths(spoken: Spoken) -> None:
    sdk, run = await begun(spoken, node("a"), node("b"))
    a, b = [state["state_id"] for state in await sdk.enqueue()]
    assert await sdk.ask("POST", f"states/{a}/executed", {"outputs": [{}]}) == (200, {"status": "EXECUTED"})
    assert await sdk.ask("POST", f"states/{b}/errored", {"error": "no"}) == (
        200,
        {"status": "ERRORED", "retry_created": False},
    )
    assert await spoken.plant.states(run) == ["SUCCEEDED", "FAILED"]


async def test_a_token_for_some_kinds_knows_nothing_of_states_of_others(spoken: Spoken) -> None:
    await spoken.plant.push(node("a"))
    run = await spoken.plant.trigger()
    state = (await spoken.sdk().take())["state_id"]
    tokens = spoken.plant.engine.tokens
    other, mine = spoken.sdk("many"), spoken.sdk("one")
    other.key = (await tokens.create(TokenRequest(name="other", scopes=["run"], kinds=["many"]))).token or ""
    mine.key = (await tokens.create(TokenRequest(name="mine", scopes=["run"], kinds=["one"]))).token or ""
    assert all(each["reason"] == "unknown" for each in await other.all_four(state))
    assert await other.ask("GET", f"state/{state}/secrets") == (404, {"detail": "State not found"})
    assert await mine.ask("GET", f"state/{state}/secrets") == (200, {"secrets": {}})
    assert await mine.executed(state) == {"status": "EXECUTED"}
    assert await other.ask("GET", f"state/{state}/secrets") == (404, {"detail": "State not found"})
    assert await spoken.plant.states(run) == ["SUCCEEDED"]
