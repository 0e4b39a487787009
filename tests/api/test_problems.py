"""Every refusal is a problem document that says what, where, and what to do."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.conftest import ROOT, Served, serving
from api.fake import SESSION, FakeEngine
from stoker.api.body import deeper_than_allowed
from stoker.api.problems import ProblemDocument
from stoker.core.protocol import MAX_BODY
from stoker.errors import Conflict, Invalid, Problem, Unavailable

TRIGGER = f"{ROOT}/runs"


def check(status: int, problem: Any, headers: Any, code: str) -> None:
    assert headers["content-type"] == "application/problem+json"
    document = msgspec.convert(problem, ProblemDocument)
    assert document.status == status
    assert document.type == f"urn:stoker:problem:{code}"
    assert document.code == code
    assert document.title
    assert document.detail


CASES = [
    ("GET", "/nowhere", {}, 404, "no_such_route", "path"),
    ("GET", f"{ROOT}/nowhere", {}, 404, "no_such_route", "path"),
    ("GET", "/v1", {}, 404, "no_such_route", "path"),
    ("DELETE", f"{ROOT}/kinds", {}, 405, "method_not_allowed", "method"),
    ("PATCH", TRIGGER, {}, 405, "method_not_allowed", "method"),
    ("GET", f"{ROOT}/claims", {}, 405, "method_not_allowed", "method"),
    ("POST", TRIGGER, {"data": b""}, 400, "bad_json", "body"),
    ("POST", TRIGGER, {"data": b'{"graph": "a",}'}, 400, "bad_json", "body, byte 14"),
    ("POST", TRIGGER, {"data": b'{"graph": 5}'}, 400, "invalid", "body.graph"),
    ("POST", TRIGGER, {"data": b'{"graph": "a", "colour": 5}'}, 400, "invalid", "body"),
    ("POST", TRIGGER, {"data": b'{"graph": "a", "inputs": {"x": "\xff"}}'}, 400, "bad_json", "body, byte 32"),
    ("POST", TRIGGER, {"data": b'{"graph": "a", "inputs": {"x": NaN}}'}, 400, "bad_json", "body, byte 31"),
    ("POST", f"{ROOT}/runs/batch", {"data": b'{"runs": [{"graph": "a"}, 1]}'}, 400, "invalid", "body.runs[1]"),
    ("PUT", f"{ROOT}/kinds", {"data": b'{"kinds": [{}]}'}, 400, "invalid", "body.kinds[0]"),
    ("GET", f"{ROOT}/runs?colour=red", {}, 400, "invalid", "query"),
    ("GET", f"{ROOT}/runs?state=READY", {}, 400, "invalid", "query.state"),
    ("GET", f"{ROOT}/runs?limit=many", {}, 400, "invalid", "query.limit"),
    ("GET", f"{ROOT}/runs?limit=0", {}, 400, "invalid", "query.limit"),
    ("GET", f"{ROOT}/runs?limit=1001", {}, 400, "invalid", "query.limit"),
    ("GET", f"{ROOT}/runs?limit=1&limit=2", {}, 400, "invalid", "query.limit"),
    ("GET", f"{ROOT}/runs/1?wait_s=61", {}, 400, "invalid", "query.wait_s"),
    ("GET", f"{ROOT}/runs/1?wait_s=nan", {}, 400, "invalid", "query.wait_s"),
    ("GET", f"{ROOT}/kinds?x", {}, 400, "invalid", "query"),
    ("GET", f"{ROOT}/runs/zero", {}, 400, "invalid", "path.id"),
    ("GET", f"{ROOT}/runs/0", {}, 400, "invalid", "path.id"),
    ("GET", f"{ROOT}/runs/-1", {}, 400, "invalid", "path.id"),
    ("GET", f"{ROOT}/tasks/99999999999999999999", {}, 400, "invalid", "path.id"),
    ("GET", f"{ROOT}/tasks/1/input", {"headers": {"Stoker-Session": SESSION}}, 400, "invalid", "query"),
    ("GET", f"/v1/namespaces/{'n' * 201}/runs", {}, 400, "invalid", "path.namespace"),
    ("GET", "/v1/namespaces/a%00b/runs", {}, 400, "invalid", "path.namespace"),
    ("GET", "/v1/namespaces/e%CC%81/runs", {}, 400, "invalid", "path.namespace"),
    ("POST", f"{ROOT}/artifacts", {"data": b"x"}, 400, "invalid", "query"),
    ("POST", f"{ROOT}/artifacts?name=a%0Ab", {"data": b"x"}, 400, "invalid", "query.name"),
    ("POST", f"{ROOT}/artifacts?name=a", {"data": b"x", "headers": {"Content-Type": "x"}}, 400, "invalid", None),
]


@pytest.mark.parametrize(("method", "path", "options", "status", "code", "place"), CASES)
async def test_a_refusal_names_its_place(
    served: Served, method: str, path: str, options: Any, status: int, code: str, place: str | None
) -> None:
    got, problem, headers = await served.ask(method, path, **options)
    assert got == status, problem
    check(got, problem, headers, code)
    assert problem["place"] == (place or "header.Content-Type")


async def test_every_method_that_a_path_takes_is_named(served: Served) -> None:
    _, problem, headers = await served.ask("DELETE", f"{ROOT}/kinds")
    assert headers["allow"] == "GET, PUT"
    assert problem["remedy"] == "It takes GET, PUT."


async def test_an_unknown_parameter_is_answered_with_the_known_ones(served: Served) -> None:
    _, problem, _ = await served.ask("GET", f"{ROOT}/runs?colour=red")
    assert "`colour`" in problem["detail"]
    assert problem["remedy"] == "Known parameters: filter, state, graph, limit, after."


def nested(depth: int) -> bytes:
    return b'{"graph":"a","inputs":{"x":' + b"[" * (depth - 2) + b"]" * (depth - 2) + b"}}"


@pytest.mark.parametrize("depth", [65, 66, 1_000, 100_000])
async def test_json_that_nests_too_deep_is_refused(served: Served, depth: int) -> None:
    status, problem, headers = await served.ask("POST", TRIGGER, data=nested(depth))
    check(status, problem, headers, "too_deep")
    assert status == 400


async def test_json_of_the_deepest_allowed_nesting_is_taken(served: Served) -> None:
    assert (await served.ask("POST", TRIGGER, data=nested(64)))[0] == 201


@pytest.mark.parametrize(
    ("body", "deep"),
    [
        (b"[" * 64 + b"]" * 64, False),
        (b"[" * 65 + b"]" * 65, True),
        (b'{"a":' * 65 + b"1" + b"}" * 65, True),
        (b'["' + b"[" * 200 + b'"]', False),
        (b'["\\"' + b"[" * 200 + b'"]', False),
        (b'["\\\\",' + b"[" * 64 + b"]" * 64 + b"]", True),
        (b"[" + b",".join([b"[[{}]]"] * 1_000) + b"]", False),
        (b'["[","]","",' + b'"\\\\","\\"[",' * 70 + b"1]", False),
        (b'["]",' * 65 + b"1" + b"]" * 65, True),
        (b"[" + b"[],[" * 70 + b"]" * 71, True),
    ],
)
def test_depth_counts_brackets_outside_strings(body: bytes, deep: bool) -> None:
    msgspec.json.decode(body)
    assert deeper_than_allowed(body) is deep


TEXT = st.text('[]{}"\\\\a')
JSON = st.recursive(st.none() | TEXT, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner))


def depth_of(value: Any) -> int:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if children is None else 1 + max(map(depth_of, children), default=0)


@given(JSON, st.integers(0, 66))
def test_depth_agrees_with_counting_by_hand(value: Any, around: int) -> None:
    for _ in range(around):
        value = [value]
    padded = [value, *([[]] * 70)]  # more brackets than the shortcut for small bodies lets pass
    assert deeper_than_allowed(msgspec.json.encode(padded)) is (depth_of(padded) > 64)


async def test_a_body_over_the_limit_is_refused_before_it_is_sent(served: Served) -> None:
    """The client announces more than it ever sends, and is answered all the same."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(served.url.rpartition(":")[2]))
    head = f"POST {TRIGGER} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer all\r\nContent-Length: {MAX_BODY + 1}\r\n\r\n"
    writer.write(head.encode())
    assert (await reader.readline()).startswith(b"HTTP/1.1 413")
    writer.close()
    await writer.wait_closed()


async def test_a_chunked_body_over_the_limit_is_refused(served: Served) -> None:
    async def chunks() -> Any:
        for _ in range(MAX_BODY // 2**20 + 1):
            yield b" " * 2**20

    status, problem, headers = await served.ask("POST", TRIGGER, data=chunks())
    check(status, problem, headers, "too_large")
    assert str(MAX_BODY) in problem["detail"]


async def test_an_unavailable_store_is_a_503_that_says_when_to_come_back(served: Served) -> None:
    served.engine.failure = Unavailable("the disk is full", place="/data", remedy="Free space.")
    for path in ("/readyz", f"{ROOT}/kinds"):
        status, problem, headers = await served.ask("GET", path)
        check(status, problem, headers, "unavailable")
        assert (status, headers["retry-after"], problem["remedy"]) == (503, "1", "Free space.")


async def test_all_problems_of_an_invalid_request_are_shown(served: Served) -> None:
    faults = [Problem(code="cycle", message="a cycle", place="nodes[1]", remedy="Cut it.")]
    served.engine.failure = Invalid("the graph has 1 problem", problems=faults)
    status, problem, headers = await served.ask("POST", f"{ROOT}/graphs", {"graph": {"name": "g", "nodes": []}})
    check(status, problem, headers, "invalid")
    assert problem["problems"] == [{"code": "cycle", "message": "a cycle", "place": "nodes[1]", "remedy": "Cut it."}]


async def test_the_code_of_an_engine_error_is_kept(served: Served) -> None:
    served.engine.failure = Conflict("no", code="attempts_exhausted")
    status, problem, headers = await served.ask("POST", TRIGGER, {"graph": "a"})
    check(status, problem, headers, "attempts_exhausted")
    assert status == 409


async def test_an_unforeseen_error_shows_an_incident_and_no_internals(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    served.engine.failure = RuntimeError("secret path /var/lib/x")
    with caplog.at_level(logging.ERROR, logger="stoker.api"):
        status, problem, headers = await served.ask("GET", f"{ROOT}/kinds")
    check(status, problem, headers, "internal")
    assert status == 500
    assert "secret" not in str(problem)
    incident = problem["instance"].rpartition(":")[2]
    [record] = [record for record in caplog.records if incident in record.getMessage()]
    assert record.exc_info is not None
    assert "secret path" in str(record.exc_info[1])


async def test_a_missing_token_is_answered_with_the_way_to_send_one(served: Served) -> None:
    status, problem, headers = await served.ask("GET", f"{ROOT}/kinds", headers={"Authorization": ""})
    check(status, problem, headers, "unauthorized")
    assert headers["www-authenticate"].startswith("Bearer")
    assert "Authorization: Bearer" in problem["remedy"]


async def test_a_closing_server_is_not_ready(engine: FakeEngine) -> None:
    async with serving(engine) as served:
        served.app.closing.begin()
        status, problem, headers = await served.ask("GET", "/readyz")
        check(status, problem, headers, "unavailable")
        assert (status, headers["connection"]) == (503, "close")
