"""Claims are held open; however they end, the engine hears the truth about who got what."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from api.conftest import ROOT, Served, serving
from api.fake import SESSION, FakeEngine, assignment
from stoker.api.app import build
from stoker.core.protocol import ClaimAnswer, ClaimRequest, ReportRequest, RunnerInfo

CLAIM = {"session": SESSION, "runner": {"name": "r", "kinds": ["k"]}, "want": 1, "wait_s": 60}


async def test_a_claim_waits_for_a_task(served: Served) -> None:
    claiming = asyncio.ensure_future(served.ask("POST", "claims", CLAIM))
    await served.engine.waiting.wait()
    served.engine.offered.put_nowait(assignment(task=5))
    status, answer, _ = await claiming
    assert (status, answer["number"], answer["tasks"][0]["task"]) == (200, 1, 5)
    assert not served.engine.hung_up.is_set()


async def test_a_claim_that_waited_long_enough_is_answered_without_tasks(served: Served) -> None:
    status, answer, _ = await served.ask("POST", "claims", {**CLAIM, "wait_s": 0.01})
    assert (status, answer) == (200, {"session_id": 7})


async def test_a_client_that_hangs_up_ends_its_claim_and_shortens_its_lease(served: Served) -> None:
    claiming = asyncio.ensure_future(served.ask("POST", "claims", CLAIM))
    await served.engine.waiting.wait()
    claiming.cancel()
    await served.engine.hung_up.wait()
    assert served.engine.asked[-1] == ("closed", SESSION)
    served.engine.offered.put_nowait(assignment())
    assert served.engine.offered.qsize() == 1  # nobody waits any more


async def test_a_claim_is_held_for_a_minute_at_most(served: Served) -> None:
    served.engine.offered.put_nowait(assignment())
    await served.ask("POST", "claims", {**CLAIM, "wait_s": 86_400})
    assert served.engine.asked[0][2].wait_s == 60.0


async def test_a_claim_passes_on_what_its_token_is_limited_to(served: Served) -> None:
    served.engine.allow("limited", "run", kinds=("k", "j"))
    served.engine.offered.put_nowait(assignment())
    await served.ask("POST", "claims", CLAIM, headers={"Authorization": "Bearer limited"})
    assert served.engine.asked[0][3] == frozenset({"k", "j"})


async def test_a_server_that_stops_ends_a_held_claim_with_an_empty_answer(engine: FakeEngine) -> None:
    async with serving(engine) as served:
        claiming = asyncio.ensure_future(served.ask("POST", "claims", CLAIM))
        await engine.waiting.wait()
        served.stop.set()
        status, answer, headers = await claiming
    assert (status, answer, headers["connection"]) == (200, {}, "close")
    assert not engine.hung_up.is_set()


async def test_a_server_that_stops_ends_a_held_wait_with_the_run_as_it_is(engine: FakeEngine) -> None:
    async with serving(engine) as served:
        await served.ask("POST", "runs", {"graph": "mill"})
        waiting = asyncio.ensure_future(served.ask("GET", "runs/1?wait_s=60"))
        await engine.waiting.wait()
        served.stop.set()
        status, view, _ = await waiting
    assert (status, view["state"]) == (200, "RUNNING")


async def test_a_claim_answer_that_finds_nobody_is_handed_back(engine: FakeEngine) -> None:
    """The task comes in the same moment in which the client leaves."""
    engine.offered.put_nowait(assignment())
    request = ClaimRequest(session=SESSION, runner=RunnerInfo(name="r", kinds=["k"]), want=1, wait_s=60)
    wire = Wire(msgspec.json.encode(request))
    wire.gone.set()
    await build(engine, version="1")(wire.scope(f"{ROOT}/claims"), wire.receive, wire.send)
    assert wire.sent == []
    verbs = [asked[0] for asked in engine.asked]
    assert verbs[-1] == "closed"
    assert ("undelivered" in verbs) == engine.offered.empty()


async def test_a_claim_answer_that_cannot_be_written_is_handed_back(engine: FakeEngine) -> None:
    engine.offered.put_nowait(assignment(task=3))
    request = ClaimRequest(session=SESSION, runner=RunnerInfo(name="r", kinds=["k"]), want=1, wait_s=60)
    wire = Wire(msgspec.json.encode(request), broken=True)
    await build(engine, version="1")(wire.scope(f"{ROOT}/claims"), wire.receive, wire.send)
    verb, session, answer = engine.asked[-2]
    assert (verb, session) == ("undelivered", SESSION)
    assert isinstance(answer, ClaimAnswer)
    assert answer.tasks[0].task == 3
    assert engine.asked[-1] == ("closed", SESSION)


async def test_the_tasks_of_a_report_answer_that_finds_nobody_are_handed_back(engine: FakeEngine) -> None:
    engine.offered.put_nowait(assignment(task=3))
    wire = Wire(msgspec.json.encode(ReportRequest(session=SESSION, want=1)))
    wire.gone.set()
    await build(engine, version="1")(wire.scope(f"{ROOT}/reports"), wire.receive, wire.send)
    assert wire.sent == []
    verb, session, answer = engine.asked[-1]
    assert (verb, session, answer.tasks[0].task) == ("undelivered", SESSION, 3)


async def test_a_negative_number_of_tasks_is_refused(served: Served) -> None:
    status, problem, _ = await served.ask("POST", "claims", {**CLAIM, "want": -1})
    assert (status, problem["place"]) == (400, "body.want")


class Wire:
    """The server's side of one request, with a client that may be gone or unreachable."""

    def __init__(self, body: bytes, *, broken: bool = False) -> None:
        self._body = [body]
        self._broken = broken
        self.gone = asyncio.Event()
        self.sent: list[Any] = []

    def scope(self, path: str) -> dict[str, Any]:
        headers = [(b"authorization", b"Bearer all")]
        return {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}

    async def receive(self) -> Any:
        if self._body:
            return {"type": "http.request", "body": self._body.pop()}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if self._broken:
            raise BrokenPipeError
        self.sent.append(message)
