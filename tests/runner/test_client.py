"""The client: what it sends for a trigger, and what waiting for a result can end with."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from runner.web import Handler, answer, problem, serving
from stoker.authoring.file import File
from stoker.core.graph import GraphSpec
from stoker.core.views import PushRequest, TokenRequest
from stoker.errors import Conflict, Invalid, NoResult, RunCancelled, RunFailed, Unavailable
from stoker.runner.client import Client

AT = "2026-01-01T00:00:00Z"
RUN: dict[str, Any] = {
    "id": 1,
    "namespace": "default",
    "graph": "g",
    "version": 1,
    "state": "SUCCEEDED",
    "stopping": False,
    "priority": 5,
    "weight": 1,
    "created_at": AT,
}
CAUSE = {"task": 4, "node": "load", "branch": "each[2]", "attempt": 3, "code": "error", "message": "no disk"}
TRACEBACK = "Traceback (most recent call last):\n  File x\nOSError: no disk\n"


class Api:
    """A server by hand: one run, and every request noted."""

    def __init__(self) -> None:
        self.views: list[dict[str, Any]] = [RUN]
        self.result: web.Response | bytes = b"null"
        self.logs: list[list[dict[str, Any]]] = []
        self.seen: list[tuple[str, Any]] = []

    def routes(self) -> dict[str, Handler]:
        base = "/v1/namespaces/default"
        return {
            f"POST {base}/graphs": self.push,
            f"POST {base}/runs": self.trigger,
            f"POST {base}/runs/batch": self.batch,
            f"GET {base}/runs/1": self.run,
            f"GET {base}/runs/1/result": self.show,
            f"POST {base}/runs/1/cancel": self.run,
            f"GET {base}/runs/1/logs": self.show_logs,
            f"GET {base}/runs/1/explain": self.explain,
            f"POST {base}/runs/1/retry": self.retry,
            f"POST {base}/artifacts": self.upload,
            f"GET {base}/artifacts/7": self.artifact,
            f"GET {base}/artifacts/7/content": self.content,
            f"GET {base}/events": self.events,
            "POST /v1/tokens": self.token,
        }

    async def note(self, request: web.Request) -> Any:
        body = await request.read()
        self.seen.append((f"{request.method} {request.path_qs}", msgspec.json.decode(body) if body else None))
        return self.seen[-1][1]

    async def push(self, request: web.Request) -> web.Response:
        await self.note(request)
        return answer({"name": "g", "version": 2, "hash": "h", "created_at": AT})

    async def trigger(self, request: web.Request) -> web.Response:
        await self.note(request)
        return answer({"id": 1}, 201)

    async def batch(self, request: web.Request) -> web.Response:
        body = await self.note(request)
        return answer([{"id": n + 1} for n, _ in enumerate(body["runs"])])

    async def run(self, request: web.Request) -> web.Response:
        await self.note(request)
        return answer(self.views.pop(0) if len(self.views) > 1 else self.views[0])

    async def show(self, request: web.Request) -> web.Response:
        await self.note(request)
        state = self.views[0]["state"]
        if state != "SUCCEEDED":
            if len(self.views) > 1:
                self.views.pop(0)
            code = "no_result_yet" if state == "RUNNING" else "run_not_succeeded"
            return problem(409, detail=f"the run is {state}", code=code)
        return web.Response(body=self.result) if isinstance(self.result, bytes) else self.result

    async def upload(self, request: web.Request) -> web.Response:
        data = await request.read()
        self.seen.append((f"upload {request.query['name']}", data))
        return await self.artifact(request)

    async def show_logs(self, request: web.Request) -> web.Response:
        await self.note(request)
        items = self.logs.pop(0) if self.logs else []
        return answer({"items": items, "after": items[-1]["cursor"] if items else 8, "ended": not self.logs})

    async def explain(self, request: web.Request) -> web.Response:
        return answer({"subject": "run 1", "state": "RUNNING", "because": ["it waits"]})

    async def retry(self, request: web.Request) -> web.Response:
        return answer({"retried": 2})

    async def artifact(self, request: web.Request) -> web.Response:
        digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
        view = {"id": 7, "name": "in.txt", "media_type": "text/plain", "size": 5, "sha256": digest, "created_at": AT}
        return answer(view)

    async def content(self, request: web.Request) -> web.Response:
        self.seen.append(("content", None))
        return web.Response(body=b"hello")

    async def events(self, request: web.Request) -> web.Response:
        self.seen.append((request.path_qs, None))
        body = b': hi\n\ndata: {"kind":"run","run":1,"state":"SUCCEEDED"}\n\ndata: {"kind":"task",\ndata: "task":3}\n\n'
        return web.Response(body=body, content_type="text/event-stream")

    async def token(self, request: web.Request) -> web.Response:
        body = await self.note(request)
        return answer({"id": 1, **body, "namespaces": [], "kinds": [], "created_at": AT, "token": "t"})


class Graph:
    def push_request(self) -> PushRequest:
        return PushRequest(graph=GraphSpec(name="g", nodes=()))


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def client(api: Api) -> Iterator[Client]:
    with serving(api.routes()) as url, Client(url, "t") as client:
        yield client


def test_a_graph_object_is_pushed_once_and_triggered_by_name(api: Api, client: Client) -> None:
    graph = Graph()
    run = client.trigger(graph, idempotency_key="k", priority=7, x=1, y=[2])
    client.trigger(graph)
    assert (run.id, run.created) == (1, True)
    assert [what for what, _ in api.seen] == [
        "POST /v1/namespaces/default/graphs",
        "POST /v1/namespaces/default/runs",
        "POST /v1/namespaces/default/runs",
    ]
    body = api.seen[1][1]
    assert (body["graph"], body["inputs"], body["idempotency_key"], body["priority"]) == (
        "g",
        {"x": 1, "y": [2]},
        "k",
        7,
    )


def test_many_runs_are_triggered_in_one_request(api: Api, client: Client) -> None:
    assert [run.id for run in client.trigger_many("g", [{"x": 1}, {"x": 2}])] == [1, 2]
    assert [run["inputs"] for run in api.seen[0][1]["runs"]] == [{"x": 1}, {"x": 2}]


def test_files_in_inputs_are_uploaded_first(api: Api, client: Client, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("hello")
    client.trigger("g", source={"files": [File(tmp_path / "in.txt")]})
    assert api.seen[0] == ("upload in.txt", b"hello")
    assert api.seen[1][1]["inputs"] == {"source": {"files": [{"$artifact": 7}]}}


def test_an_input_without_a_json_form_is_named(client: Client) -> None:
    with pytest.raises(Invalid, match="cannot be JSON") as told:
        client.trigger("g", x=object())
    assert told.value.place == "x"


def test_a_thing_that_is_no_graph_is_refused(client: Client) -> None:
    with pytest.raises(Invalid, match="neither a graph nor the name of one"):
        client.trigger(3)


def test_a_result_is_waited_for_in_long_polls(api: Api, client: Client) -> None:
    api.views = [{**RUN, "state": "RUNNING"}, RUN]
    api.result = b'{"a": [1, 2]}'
    assert client.run(1).result() == {"a": [1, 2]}
    assert [what for what, _ in api.seen] == ["GET /v1/namespaces/default/runs/1/result?wait_s=30.0"] * 2


def test_half_a_surrogate_pair_in_a_result_is_replaced(api: Api, client: Client) -> None:
    api.result = b'{"a": "\\ud800"}'
    assert client.run(1).result() == {"a": "\ufffd"}


def test_waiting_ends_with_a_timeout(api: Api, client: Client) -> None:
    api.views = [{**RUN, "state": "RUNNING"}]
    with pytest.raises(TimeoutError, match="still RUNNING"):
        client.run(1).result(timeout=0)
    assert client.run(1).state() == "RUNNING"


def test_a_failed_run_raises_its_first_causes_with_their_tracebacks(api: Api, client: Client) -> None:
    causes = [{**CAUSE, "type": "OSError", "traceback": TRACEBACK}, *({**CAUSE, "task": n} for n in range(5, 9))]
    api.views = [{**RUN, "state": "FAILED", "causes": causes}]
    with pytest.raises(RunFailed) as told:
        client.run(1).result()
    assert "load at each[2] (task 4, attempt 3) failed with error: OSError: no disk" in str(told.value)
    assert TRACEBACK.strip() in str(told.value)
    assert "and 2 more failed tasks" in str(told.value)
    assert str(told.value).splitlines()[-1] == "See `stoker explain run:1`."


def test_a_run_tells_its_logs_and_why_it_stands_where_it_stands(api: Api, client: Client) -> None:
    chunk = {"task": 4, "node": "load", "branch": "", "attempt": 1, "stream": "log", "at": AT}
    api.logs = [[{**chunk, "cursor": 3, "text": "one\n"}], [{**chunk, "cursor": 8, "text": "two\n"}]]
    assert "".join(chunk.text for chunk in client.run(1).logs()) == "one\ntwo\n"
    api.logs = [[], [{**chunk, "cursor": 9, "text": "three\n"}]]
    assert [chunk.text for chunk in client.run(1).follow(node="load", since="10m")] == ["three\n"]
    assert [what.rpartition("?")[2] for what, _ in api.seen] == [
        "after=0&limit=1000",
        "after=3&limit=1000",
        "node=load&since=10m&after=0&limit=1000&wait_s=30.0",
        "node=load&since=10m&after=8&limit=1000&wait_s=30.0",
    ]
    assert client.run(1).explain().because == ["it waits"]
    assert client.run(1).retry().retried == 2


def test_a_cancelled_run_and_one_without_a_result_raise(api: Api, client: Client) -> None:
    api.views = [{**RUN, "state": "CANCELLED"}]
    with pytest.raises(RunCancelled):
        client.run(1).result()
    api.views = [RUN]
    api.result = problem(409, detail="`total` was pruned by task 3", code="no_result")
    with pytest.raises(NoResult, match="pruned by task 3"):
        client.run(1).result()


def test_files_in_a_result_open_through_the_client(api: Api, client: Client) -> None:
    api.result = b'{"report": {"$artifact": 7}, "rest": [{"$artifact": 7}]}'
    result = client.run(1).result()
    assert isinstance(result["report"], File)
    assert ("content", None) not in api.seen
    assert result["report"].name == "in.txt"
    assert result["report"].read_text() == "hello"
    with result["rest"][0].open() as file:
        assert file.read() == "hello"
    assert api.seen.count(("content", None)) == 1
    path = result["report"].path
    client.close()
    assert not path.exists()


async def test_a_client_works_inside_of_a_running_loop(api: Api) -> None:
    with serving(api.routes()) as url, Client(url) as client:
        assert client.run(1).result() is None
        assert asyncio.get_running_loop().is_running()


def test_a_closed_client_says_so() -> None:
    client = Client("http://127.0.0.1:9")
    client.close()
    client.close()
    with pytest.raises(Conflict, match="closed"):
        client.run(1).view()


def test_the_environment_names_the_server(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOKER_URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("STOKER_NAMESPACE", "mine")
    with Client() as client, pytest.raises(Unavailable, match=r"127\.0\.0\.1:9/v1/namespaces/mine/runs/1"):
        client.run(1).view()


def test_events_arrive_as_hints(api: Api, client: Client) -> None:
    async def collect() -> list[tuple[str, int, int]]:
        return [(hint.kind, hint.run, hint.task) async for hint in client.api.events(run=1)]

    assert client.call(collect()) == [("run", 1, 0), ("task", 0, 3)]
    assert api.seen == [("/v1/namespaces/default/events?run=1", None)]


def test_a_token_is_made_outside_of_namespaces(api: Api, client: Client) -> None:
    made = client.call(client.api.create_token(TokenRequest(name="ci", scopes=["trigger"])))
    assert made.token == "t"
