"""What runners do with sessions: claim, signal, give outputs, complete and fail, in time, late, and not at all."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dialects.heat.player import DONE, SUM, Player
from dialects.heat.served import Served

FIRST = 2**31


@pytest.fixture
async def player(either: Served) -> Player:
    return await Player(either).begin()


CHAIN = (("upload", ()), ("sum", ("upload",)), ("next", ("sum",)))


async def test_an_upload_is_processed_and_what_it_gives_passes_on_when_it_is_complete(either: Served) -> None:
    player = await Player(either).begin(*CHAIN, configuration='{"a":1}', sum='{"b":2}')
    assert await player.claim() is None
    assert await player.state("sum") == (0, "waits for a first output of the input 'upload'")
    given = await player.give("upload", '{"csv":1}', "in.csv", "file")
    assert await player.state("upload") == (3, DONE)
    task = await player.claim(SUM, SUM, "nothing")
    assert task["id"] > FIRST
    assert (task["id"] - FIRST) % 1024 == 1
    assert (task["state"], task["verboseState"], task["retryCount"], task["maxRetries"]) == (1, "Claimed", 0, 3)
    assert task["nodeInstance"]["nodeTemplate"]["name"] == SUM
    assert task["parentNodeOutputs"] == [given]
    assert (task["nodeInstanceConfiguration"], task["sessionTemplateConfiguration"]) == ('{"b":2}', '{"a":1}')
    assert (await player.say(task, "signal"))["verboseState"] == "Running"
    assert await player.state("sum") == (1, "")
    out = await player.give("sum", '{"speed":120.7}')
    node = f"/api/nodes/{player.nodes['sum']}/output"
    assert await either.get(f"{node}/all") == [out]
    await either.refused(404, "GET", node)
    assert await player.claim() is None
    await player.status("sum", 3, DONE)
    assert (await player.say(task, "complete"))["verboseState"] == "Completed"
    assert await player.state("sum") == (3, DONE)
    assert await either.get(node) == out
    after = await player.claim()
    assert (after["nodeInstance"]["name"], after["parentNodeOutputs"]) == ("next", [out])
    listed = await either.get(f"/api/sessions/{player.id}/node-outputs")
    assert [(each["nodeName"], each["id"]) for each in listed] == [("upload", given["id"]), ("sum", out["id"])]
    data = await either.ask("GET", f"/api/node-instances/outputs/{out['id']}/data")
    assert (data.value, data.headers["x-content-type-options"]) == ({"speed": 120.7}, "nosniff")


async def test_complete_and_fail_are_taken_once_and_answered_always(player: Player) -> None:
    await player.give("upload")
    task = await player.work()
    for verb in ("complete", "fail", "signal"):
        await player.status("sum", 2, "the answer of complete was lost") if verb != "complete" else None
        assert (await player.say(task, verb))["verboseState"] == "Completed"
    assert await player.state("sum") == (3, DONE)


@pytest.mark.parametrize("id_", [0, 1, 2147483646, FIRST, FIRST + 1024, FIRST + 9 * 1024 + 1, 2**53 + 1025])
async def test_an_id_that_no_attempt_has_is_not_found(player: Player, id_: int) -> None:
    for verb in ("signal", "complete", "fail"):
        assert (await player.ask(id_, verb)).status == 404


async def test_an_attempt_beyond_the_next_one_is_not_found(player: Player) -> None:
    await player.give("upload")
    task = await player.claim()
    assert (await player.ask(task["id"] - 1, "signal")).status == 404
    assert (await player.ask(task["id"] + 1, "signal")).status == 404
    assert (await player.say(task, "signal", leaseSeconds="0"))["verboseState"] == "Superseded"
    assert (await player.say(task["id"] + 1, "signal"))["verboseState"] == "Pending"
    assert (await player.ask(task["id"] + 2, "signal")).status == 404
    again = await player.claim()
    assert (again["id"], again["retryCount"]) == (task["id"] + 1, 0)


async def test_a_failure_is_the_end_of_a_task_and_a_word_of_its_node(player: Player) -> None:
    await player.give("upload")
    task = await player.claim()
    await player.status("sum", 2, "no such column")
    assert (await player.say(task, "fail"))["verboseState"] == "Failed"
    assert await player.state("sum") == (2, "no such column")
    assert await player.claim() is None


async def test_failures_are_tried_again_where_the_configuration_says_so(either: Served) -> None:
    for name, value in (("retry_failed", "true"), ("max_retries", "1")):
        body = {"name": f"scheduler.{name}", "valueType": 0, "value": value}
        await either.make("/api/config", body, role="system")
    player = await Player(either).begin()
    await player.give("upload")
    task = await player.claim()
    assert (await player.say(task, "fail"))["verboseState"] == "Failed"
    assert (await player.say(task["id"] + 1, "signal"))["verboseState"] == "Pending"
    again = await player.claim()
    assert (again["id"], again["retryCount"], again["maxRetries"]) == (task["id"] + 1, 1, 1)
    assert (await player.say(again, "fail"))["verboseState"] == "Failed"
    assert await player.claim() is None


async def lose(player: Player, seconds: float) -> None:
    await player.served.plant.pass_time(seconds)


async def test_losses_are_made_good_until_the_fourth(player: Player) -> None:
    await player.give("upload")
    seen = []
    for losses in range(4):
        task = await player.claim()
        seen.append((task["id"], task["retryCount"]))
        if losses:
            await player.say(task, "signal")
            await lose(player, 3599)
            assert await player.claim() is None
            await lose(player, 2)
        else:
            await lose(player, 61)
    first = seen[0][0]
    assert seen == [(first + losses, losses) for losses in range(4)]
    state, text = await player.state("sum")
    assert (state, "loss 4 of at most 4" in text) == (2, True)
    assert await player.claim() is None
    assert [(await player.say(id_, "signal"))["verboseState"] for id_, _ in seen] == ["Superseded"] * 3 + ["Failed"]


@pytest.mark.parametrize("claimed", [False, True])
async def test_a_stale_runner_is_answered_and_changes_nothing(player: Player, claimed: bool) -> None:
    await player.give("upload")
    stale = await player.claim()
    await player.say(stale, "signal")
    await lose(player, 3601)
    if not claimed:
        assert (await player.give("sum", '{"stale":1}'))["configuration"] == '{"stale":1}'
        await player.status("sum", 3, "stale")
    else:
        await player.claim()
    for verb in ("signal", "complete", "fail"):
        assert (await player.say(stale, verb))["verboseState"] == "Superseded"
    assert (await player.state("sum"))[0] == (1 if claimed else 0)
    await player.served.refused(404, "GET", f"/api/nodes/{player.nodes['sum']}/output")
    if not claimed:
        assert (await player.claim())["id"] == stale["id"] + 1


async def test_changes_before_a_claim_give_one_task_with_the_newest_and_behind_it_exactly_one_more(
    player: Player,
) -> None:
    outputs = [await player.give("upload", f'{{"v":{value}}}') for value in range(3)]
    task = await player.claim()
    assert task["parentNodeOutputs"] == outputs[2:]
    newest = [await player.give("upload", f'{{"v":{value}}}') for value in (7, 8)][1]
    assert await player.claim() is None
    await player.say(task, "complete")
    again = await player.claim()
    assert (again["parentNodeOutputs"], again["retryCount"]) == ([newest], 0)
    await player.say(again, "complete")
    assert await player.claim() is None


TWO = (("upload", ()), ("a", ("upload",)), ("b", ("upload",)), ("c", ("a", "b")))


@pytest.mark.parametrize("first", ["a", "b"])
async def test_a_node_runs_with_what_one_of_its_parents_gave(either: Served, first: str) -> None:
    player = await Player(either).begin(*TWO)
    await player.give("upload")
    tasks = {task["nodeInstance"]["name"]: task for task in [await player.claim(), await player.claim()]}
    given = await player.give("a")
    for name in (first, "b" if first == "a" else "a"):
        assert await player.claim() is None
        await player.say(tasks[name], "complete" if name == "a" else "fail")
    task = await player.claim()
    assert (task["nodeInstance"]["name"], task["parentNodeOutputs"]) == ("c", [given])


async def test_a_node_may_require_all_its_parents(either: Served) -> None:
    player = await Player(either).begin(*TWO, c='{"requireAllParents":true}')
    await player.give("upload")
    tasks = {task["nodeInstance"]["name"]: task for task in [await player.claim(), await player.claim()]}
    await player.give("a")
    await player.say(tasks["a"], "complete")
    await player.say(tasks["b"], "fail")
    assert await player.claim() is None
    assert await player.state("c") == (0, "needs an output of 'b'")


async def test_a_node_whose_parents_all_failed_waits_and_says_why(either: Served) -> None:
    player = await Player(either).begin(*TWO)
    await player.give("upload")
    for _ in range(2):
        await player.say(await player.claim(), "fail")
    assert await player.claim() is None
    state, text = await player.state("c")
    assert (state, "none has an output" in text) == (0, True)


async def test_a_session_is_deleted_under_a_running_task_and_its_runner_goes_on(player: Player) -> None:
    await player.give("upload")
    task = await player.claim()
    await player.say(task, "signal")
    assert "outputs of 1 sessions" in await player.served.refused(409, "DELETE", "/api/datasources/1")
    assert (await player.served.ask("DELETE", f"/api/sessions/{player.id}")).status == 204
    for path in (f"/api/sessions/{player.id}", f"/api/nodes/{player.nodes['sum']}"):
        await player.served.refused(404, "GET", path)
    await player.served.refused(404, "GET", "/api/nodes", query={"sessionId": player.id})
    assert (await player.say(task, "signal"))["verboseState"] == "Superseded"
    await player.give("sum")
    await player.status("sum", 3, DONE)
    assert (await player.say(task, "complete"))["verboseState"] == "Superseded"
    assert await player.claim() is None
    assert (await player.served.ask("DELETE", "/api/datasources/1")).status == 204


async def test_the_task_of_a_silent_runner_ends_30_s_after_its_session(player: Player) -> None:
    await player.give("upload")
    task = await player.claim()
    await player.served.ask("DELETE", f"/api/sessions/{player.id}")
    await lose(player, 31)
    standing = await player.served.plant.engine.own.standing("heat", [((task["id"] - FIRST) // 1024, 1)])
    assert standing[0].reason == "run_closed"
    assert standing[0].state is not None
    assert standing[0].state.name == "CANCELLED"


async def test_a_disabled_feature_or_runner_type_hides_its_templates(either: Served) -> None:
    runner = await either.make(
        "/api/runnertypes", {"name": "rt", "containerImage": "i", "enabled": False}, role="system"
    )
    player = await Player(either).begin()
    id_ = next(each["id"] for each in (await either.get("/api/nodetemplates"))["template"] if each["name"] == SUM)
    await player.give("upload")
    assert "No runner type supports" in (await player.state("sum"))[1]
    await either.ask("PUT", f"/api/nodetemplates/{id_}", {"supportedRunners": ["rt"]}, role="system")
    assert await player.claim() is None
    await either.ask("PUT", f"/api/runnertypes/{runner['id']}", {"enabled": True}, role="system")
    task = await player.claim()
    assert task["runnerTypeId"] == runner["id"]


async def test_a_manual_loop_without_a_signal_completes(player: Player) -> None:
    await player.give("upload")
    task = await player.claim()
    out = await player.give("sum", "{}", "out")
    (standing,) = await player.served.plant.engine.own.standing("heat", [((task["id"] - FIRST) // 1024, 1)])
    assert not standing.heard
    assert (await player.say(task, "complete"))["verboseState"] == "Completed"
    assert await player.served.get(f"/api/nodes/{player.nodes['sum']}/output") == out


async def test_an_output_posted_twice_by_one_attempt_is_one(player: Player) -> None:
    await player.give("upload")
    await player.claim()
    first = await player.give("sum", '{"v":1}', "out")
    assert await player.give("sum", '{"v":2}', "out") == first
    assert await player.give("sum", '{"v":2}', "other") != first
    assert len(await player.served.get(f"/api/nodes/{player.nodes['sum']}/output/all")) == 2


async def test_outputs_from_outside_are_each_kept(player: Player) -> None:
    first, second = await player.give("upload", path="x"), await player.give("upload", path="x")
    assert first["id"] != second["id"]
    assert await player.served.get(f"/api/nodes/{player.nodes['upload']}/output") == second


async def test_reprocess_offers_a_node_once_however_often_it_is_asked(player: Player) -> None:
    path = f"/api/nodes/{player.nodes['sum']}/reprocess"
    assert "no node before" in await player.served.refused(409, "GET", path)
    await player.served.refused(409, "GET", f"/api/nodes/{player.nodes['upload']}/reprocess")
    await player.give("upload")
    await player.work()
    await player.served.ask("HEAD", path)
    assert await player.claim() is None
    answers = [await player.served.ask("GET", path) for _ in range(2)]
    assert {answered.headers["cache-control"] for answered in answers} == {"no-store"}
    assert answers[0].value == answers[1].value
    assert answers[0].value["verboseState"] == "Pending"
    task = await player.claim()
    assert task["id"] == answers[0].value["id"]
    again = (await player.served.ask("GET", path)).value
    assert (again["id"], again["verboseState"]) == (task["id"], "Claimed")
    await player.say(task, "complete")
    assert await player.claim() is not None
    assert await player.claim() is None


async def test_debug_mode_gives_outputs_beside_a_task_that_stays_claimable(either: Served) -> None:
    player = await Player(either).begin(*CHAIN)
    await player.give("upload")
    out = await player.give("sum", '{"debug":1}')
    await player.status("sum", 3, "debugged")
    assert await player.state("sum") == (3, "debugged")
    assert (await player.node("sum"))["currentOutput"] == out
    names = [task["nodeInstance"]["name"] for task in [await player.claim(), await player.claim()]]
    assert sorted(names) == ["next", "sum"]


async def test_a_status_with_a_configuration_replaces_that_of_the_node(player: Player) -> None:
    given = await player.status("sum", 0, "configured", configuration='{"x": 1}')
    assert (given["configuration"], given["statusDetails"]) == ('{"x": 1}', "configured")
    await player.give("upload")
    assert (await player.claim())["nodeInstanceConfiguration"] == '{"x": 1}'


async def test_two_runners_do_each_task_once_and_are_never_refused(served: Served) -> None:
    player = await Player(served).begin(("upload", ()), *((f"n{number}", ("upload",)) for number in range(20)))
    await player.give("upload")

    async def runner(tag: str) -> list[Any]:
        done = []
        while (task := await player.work(tag=tag)) is not None:
            done.append(task["nodeInstance"]["name"])
        return done

    first, second = await asyncio.gather(runner("a"), runner("b"))
    assert sorted(first + second) == sorted(f"n{number}" for number in range(20))


async def test_a_busy_store_is_no_task(player: Player, monkeypatch: pytest.MonkeyPatch) -> None:
    from stoker.errors import Unavailable

    async def busy(*_: Any) -> Any:
        raise Unavailable("the database is locked")

    monkeypatch.setattr(player.served.plant.engine.documents, "look", busy)
    assert await player.claim() is None


async def test_a_user_claims_nothing(served: Served) -> None:
    body = {"runnerTag": "r", "supportedNodeTemplateNames": [SUM]}
    await served.refused(403, "POST", "/api/tasks/claim", body, role="user")
    await served.refused(404, "POST", "/api/tasks/claim", {**body, "supportedNodeTemplateNames": []})
