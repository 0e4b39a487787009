"""Hostile graphs, names and reports over HTTP, on both databases: never a 5xx, and nobody else's batch is spoilt."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from api.conftest import ROOT, Served, serving
from api.fake import FakeEngine
from engine.plant import Plant
from stoker.core.views import TokenRequest

SESSION = "0123456789abcdef" * 2
RUNNER = {"name": "hand", "kinds": ["one", "many", "strict"]}
KINDS = [
    {"name": "one"},
    {"name": "many", "items": "many"},
    {"name": "strict", "output": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}},
]


@pytest.fixture(params=["sqlite", "postgres"])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Served]:
    """The application in front of a real engine on each database."""
    database = request.getfixturevalue("migrated") if request.param == "postgres" else None
    plant = await Plant(tmp_path / "data", database=database).start()
    scopes: Any = ["read", "trigger", "run", "author"]
    token = (await plant.engine.tokens.create(TokenRequest(name="all", scopes=scopes))).token
    async with serving(cast("FakeEngine", plant.engine)) as served:
        served.client.headers["Authorization"] = f"Bearer {token}"
        yield served
    await plant.stop()


async def sent(server: Served, path: str, body: bytes | str, method: str = "POST") -> tuple[int, Any]:
    """The answer to bytes as they are: no client would send most of them."""
    headers = {"content-type": "application/json"}
    data = io.BytesIO(body.encode() if isinstance(body, str) else body)
    async with server.client.request(method, f"{server.url}{ROOT}/{path}", data=data, headers=headers) as response:
        content = await response.read()
        return response.status, json.loads(content) if content else None


def graph(*nodes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"graph": {"name": "sample", "nodes": list(nodes), **more}, "kinds": KINDS}


def node(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "kind": "one", **more}


def after(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "each", "way": {"node": name, **more}}


def join(*of: str, **more: Any) -> dict[str, Any]:
    return {"type": "join", "of": list(of), **more}


RING = [node("a", fire=after("c")), node("b", fire=after("a")), node("c", fire=after("b"))]
DEEP = "[" * 1_000 + "]" * 1_000
GRAPHS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "a ring": (graph(*RING), {"cycle"}),
    "two rings and what waits for one": (
        graph(*RING, node("d", fire=after("d")), node("e", fire=after("c")), node("f", fire=join("e"))),
        {"cycle", "unreachable"},
    ),
    "5,001 nodes": (graph(*(node(f"n{number}") for number in range(5_001))), {"limit"}),
    "20,000 nodes with a condition each": (
        graph(node("a"), *(node(f"n{number}", fire=after("a", when="item.")) for number in range(20_000))),
        {"limit"},
    ),
    "no nodes": (graph(), {"empty_graph"}),
    "a huge name": (graph(node("x" * 100_000)), {"bad_name"}),
    "a name of nothing": (graph(node("")), {"bad_name"}),
    "a name with a NUL": (graph(node("a\0b")), {"bad_name"}),
    "a graph name with a NUL": (graph(node("a"), name="a\0"), {"bad_name"}),
    "an input name with a NUL": (graph(node("a"), inputs={"a\0": {}}), {"bad_name"}),
    "a key of the store with a NUL": (graph(node("a"), store={"\0": {}}), {"bad_name"}),
    "an input of a node with a NUL": (graph(node("a", bind={"\0": {"type": "value", "value": 1}})), {"bad_name"}),
    "a twin": (graph(node("a"), node("a")), {"duplicate_node"}),
    "an unknown kind": (graph(node("a", kind="nothing")), {"unknown_kind"}),
    "unknown everything": (
        graph(
            node("a", fire=after("z")),
            node("b", bind={"x": {"type": "ref", "node": "z"}, "y": {"type": "run_input", "name": "z"}}),
            node("c", bind={"x": {"type": "store", "name": "z"}, "y": {"type": "element", "of": "z"}}),
            node(
                "d",
                kind="z",
                fire=join("z", anchor="z", when={"y": "z"}),
                expand={"over": {"type": "ref", "node": "z"}},
            ),
        ),
        {"unknown_node", "unknown_input", "unknown_kind", "bad_condition"},
    ),
    "an anchor that is not above": (
        graph(node("a"), node("b"), node("j", fire=join("a", "b", anchor="a"))),
        {"bad_anchor"},
    ),
    "a join of nothing": (graph(node("j", fire=join())), {"bad_join"}),
    "a join on itself": (graph(node("j", fire=join("j"))), {"cycle"}),
    "numbers out of bounds": (
        graph(node("a", priority=99, max_losses=-1, timeout="-1s", retry={"attempts": 0}, limit={"key": ""})),
        {"bad_option", "bad_name"},
    ),
    "endless numbers": (graph(node("a", timeout=1e300, retry={"base": 1e300})), {"bad_option"}),
    "conditions of all sorts": (
        graph(
            node("a"),
            *(
                node(f"b{number}", fire=after("a", when=source))
                for number, source in enumerate(["", "(" * 400, "\0", "a.b(", "x" * 5_000, "[1].all(x, [1].all(y, y))"])
            ),
        ),
        {"bad_condition"},
    ),
}


@pytest.mark.parametrize("name", list(GRAPHS))
async def test_a_hostile_graph_is_refused_with_everything_that_is_wrong(server: Served, name: str) -> None:
    body, codes = GRAPHS[name]
    status, problem = await sent(server, "graphs", json.dumps(body))
    assert (status, problem["code"]) == (400, "invalid_graph")
    assert {one["code"] for one in problem["problems"]} == codes
    assert all(one["place"] and one["message"] for one in problem["problems"])
    assert (await sent(server, "graphs", b"", "GET"))[1]["items"] == []


BODIES: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"{",
    "a number": b"5",
    "not UTF-8": b'{"graph": {"name": "\xff", "nodes": []}}',
    "a lone surrogate": rb'{"graph": {"name": "\ud800", "nodes": [{"name": "a", "kind": "one"}]}}',
    "a lone surrogate in a value": rb'{"graph": {"name": "g", "nodes": [{"name": "a", "kind": "one", "bind": {"x": '
    rb'{"type": "value", "value": "\udfff"}}}]}}',
    "NaN": b'{"graph": {"name": "g", "nodes": [{"name": "a", "kind": "one", "priority": NaN}]}}',
    "a number beyond all": b'{"graph": {"name": "g", "nodes": [{"name": "a", "kind": "one", "priority": 1e999}]}}',
    "depth 1,000": b'{"graph": {"name": "g", "nodes": [], "result": {"value": ' + DEEP.encode() + b"}}}",
    "a deep binding": b'{"graph": {"name": "g", "nodes": [], "result": '
    + b'{"type": "list", "items": [' * 500
    + b"]}" * 500
    + b"}}",
    "an unknown field": b'{"graph": {"name": "g", "nodes": [], "colour": "blue"}}',
    "an unknown binding": b'{"graph": {"name": "g", "nodes": [], "result": {"type": "eval", "code": "1"}}}',
    "a schema that is none": b'{"graph": {"name": "g", "nodes": [{"name": "a", "kind": "k"}]}, "kinds": '
    b'[{"name": "k", "input": {"type": "nonsense"}}]}',
    "a schema that looks elsewhere": b'{"graph": {"name": "g", "nodes": [{"name": "a", "kind": "k"}]}, "kinds": '
    b'[{"name": "k", "input": {"$ref": "http://127.0.0.1:1/x"}}]}',
}


@pytest.mark.parametrize("name", list(BODIES))
@pytest.mark.parametrize("path", ["graphs", "runs", "runs/batch", "claims", "reports"])
async def test_a_hostile_body_is_the_callers_fault_wherever_it_goes(server: Served, name: str, path: str) -> None:
    status, problem = await sent(server, path, BODIES[name])
    assert 400 <= status < 500, problem
    assert problem["code"]


HOSTILE = [
    *(
        b'"\\u0000"',
        b'"\\ud800"',
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"1e999",
        DEEP.encode(),
        b'{"a": {"$artifact": "x"}}',
    ),
    *(
        b'{"$artifact": 99999999999999999999}',
        b"99999999999999999999999999999999",
        b'"\xff"',
        b"",
        b"nul",
        b'{"a":1,"a":2}',
    ),
]


@pytest.mark.parametrize("value", HOSTILE)
async def test_hostile_inputs_and_stores_are_taken_or_refused(server: Served, value: bytes) -> None:
    pushed = graph(
        node("a", bind={"x": {"type": "run_input", "name": "x"}, "s": {"type": "store", "name": "s"}}),
        inputs={"x": {}},
        store={"s": {}},
    )
    assert (await sent(server, "graphs", json.dumps(pushed)))[0] == 201
    body = b'{"graph": "sample", "inputs": {"x": ' + value + b'}, "store": {"s": ' + value + b"}}"
    status, answer = await sent(server, "runs", body)
    assert status == 201 or (400 <= status < 500 and answer["code"]), answer
    if status == 201:
        (task,) = await claimed(server)
        assert (await reported(server, complete(task)))[0]["status"] == "accepted"


async def claimed(server: Served, want: int = 10) -> list[dict[str, Any]]:
    status, answer = await sent(server, "claims", json.dumps({"session": SESSION, "runner": RUNNER, "want": want}))
    assert status == 200, answer
    tasks: list[dict[str, Any]] = answer["tasks"]
    return tasks


def complete(task: dict[str, Any], value: str = "1") -> str:
    return (
        f'{{"verb": "complete", "task": {task["task"]}, "attempt": {task["attempt"]}, "items": [{{"value": {value}}}]}}'
    )


async def reported(server: Served, *reports: str) -> list[dict[str, Any]]:
    body = f'{{"session": "{SESSION}", "reports": [{", ".join(reports)}]}}'
    status, answer = await sent(server, "reports", body)
    assert status == 200, answer
    receipts: list[dict[str, Any]] = answer["receipts"]
    return receipts


async def running(server: Served, runs: int, kind: str = "one") -> list[dict[str, Any]]:
    """So many runs of one node, leased."""
    assert (await sent(server, "graphs", json.dumps(graph(node("a", kind=kind)))))[0] == 201
    batch = json.dumps({"runs": [{"graph": "sample"}] * runs})
    assert (await sent(server, "runs/batch", batch))[0] == 201
    return await claimed(server, runs)


async def test_one_hostile_report_spoils_no_other_of_its_batch(server: Served) -> None:
    mine, again, bad = await running(server, 3, "strict")
    far = {"task": 2**62, "attempt": 1}
    receipts = await reported(
        server,
        complete(mine, '{"n": 1}'),
        complete({**again, "attempt": 7}, '{"n": 1}'),
        complete(bad, '{"n": "no integer"}'),
        complete(far),
        complete({"task": 0, "attempt": 0}),
        complete({"task": -1, "attempt": -1}),
        complete(mine, '{"n": 2}'),
        complete(again, '{"n": 3}'),
    )
    assert [one["status"] for one in receipts] == [
        *("accepted", "stale", "invalid", "refused", "refused", "refused", "accepted", "accepted"),
    ]
    assert [one["status"] for one in await reported(server, complete(mine, '{"n": 1}'))] == ["accepted"]


@pytest.mark.parametrize("value", ['"\\u0000"', '{"\\u0000": 1}', "1e999", '{"a": 1, "a": 2}'])
async def test_a_hostile_result_is_taken_or_fails_its_own_task(server: Served, value: str) -> None:
    bad, good = await running(server, 2)
    first, second = await reported(server, complete(bad, value), complete(good))
    assert first["status"] in ("accepted", "invalid")
    assert second["status"] == "accepted"
    for path in ("runs/1", "runs/2", "runs/1/tasks", "runs/1/result"):
        assert (await sent(server, path, b"", "GET"))[0] < 500


@pytest.mark.parametrize("value", ['"\\ud800"', DEEP, "NaN"])
async def test_a_report_that_is_no_json_changes_nothing(server: Served, value: str) -> None:
    bad, good = await running(server, 2)
    body = f'{{"session": "{SESSION}", "reports": [{complete(good)}, {complete(bad, value)}]}}'
    status, problem = await sent(server, "reports", body)
    assert (status, bool(problem["code"])) == (400, True)
    assert [one["status"] for one in await reported(server, complete(good), complete(bad))] == ["accepted", "accepted"]


async def test_hostile_errors_and_logs_are_kept_as_text(server: Served) -> None:
    (task,) = await running(server, 1)
    told = f'"task": {task["task"]}, "attempt": {task["attempt"]}'
    text = json.dumps("\0 \ud800 " + "x" * 100_000)
    receipts = await reported(
        server,
        f'{{"verb": "log", {told}, "seq": 1, "text": {json.dumps("a" + chr(0) + "b")}}}',
        f'{{"verb": "progress", {told}, "fraction": 1e300, "message": {json.dumps("a" + chr(0))}}}',
        f'{{"verb": "fail", {told}, "error": {{"code": "a\\u0000b", "message": "\\u0000", "traceback": ""}}}}',
    )
    assert all(one["status"] in ("accepted", "invalid", "refused") for one in receipts), receipts
    assert len(text) > 100_000
    for path in ("runs/1", "runs/1/tasks", "runs/1/logs", f"tasks/{task['task']}", f"tasks/{task['task']}/explain"):
        assert (await sent(server, path, b"", "GET"))[0] < 500


async def test_hostile_calls_beside_good_ones_disturb_none(server: Served) -> None:
    """All at once, so that they share transactions."""
    tasks = await running(server, 8)
    bad = [sent(server, "reports", BODIES[name]) for name in ("no JSON", "NaN", "depth 1,000", "a lone surrogate")]
    strange = [reported(server, complete({"task": 2**62 + number, "attempt": 1})) for number in range(8)]
    good = [reported(server, complete(task)) for task in tasks]
    answers = await asyncio.gather(*bad, *strange, *good)
    assert all(400 <= status < 500 for status, _ in answers[:4])
    assert [one["status"] for (one,) in answers[4:12]] == ["refused"] * 8
    assert [one["status"] for (one,) in answers[12:]] == ["accepted"] * 8


NAMES = ["%00", "..%2f..%2fetc", "%ff", "a" * 5_000, "%F0%9F%8C%8D", "99999999999999999999"]


@pytest.mark.parametrize("path", ["graphs/{}", "kinds/{}", "runs/{}", "tasks/{}", "runs?state={}", "runs?after={}"])
async def test_hostile_names_in_a_path_find_nothing(server: Served, path: str) -> None:
    statuses = {name: (await sent(server, path.format(name), b"", "GET"))[0] for name in NAMES}
    assert set(statuses.values()) <= {400, 404, 405, 414}, statuses
