"""Runners: they claim, report and leave. Claims and reports are the hot path."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import msgspec

from stoker.api.call import GONE, NO_CONTENT, Answer, Call, as_json
from stoker.api.hold import hold
from stoker.api.native.session import SESSION_HEADER, checked, session_of
from stoker.api.route import NAMESPACED, Route
from stoker.core.protocol import ClaimAnswer, ClaimRequest, ReportAnswer, ReportRequest
from stoker.core.views import RunnerView
from stoker.errors import Invalid

if TYPE_CHECKING:
    from stoker.engine.engine import Leases

MAX_WAIT_S = 60.0
_BODY_SESSION = "body.session"


async def claim_tasks(call: Call) -> Answer:
    """Held open until there is work or news. A server that closes ends it with an empty answer."""
    request = _claim(call.body)
    leases = call.engine.leases
    work = leases.claim(call.namespace, request, call.caller.kinds)
    held = await hold(work, call.receive, call.server.closing)
    if held.gone:
        await _hung_up(leases, request.session, held.value)
        return GONE
    answer = held.value or ClaimAnswer()
    return Answer(
        body=msgspec.json.encode(answer),
        undelivered=partial(_hung_up, leases, request.session, answer),
    )


async def report_tasks(call: Call) -> Answer:
    request: ReportRequest = call.body
    checked(request.session, _BODY_SESSION)
    _not_negative(request.want)
    leases = call.engine.leases
    answer = await leases.report(call.namespace, request)
    return Answer(
        body=msgspec.json.encode(answer),
        undelivered=partial(leases.undelivered, request.session, answer) if answer.tasks else None,
    )


async def leave(call: Call) -> Answer:
    await call.engine.leases.leave(call.namespace, session_of(call))
    return NO_CONTENT


async def list_runners(call: Call) -> Answer:
    return as_json(await call.engine.views.runners(call.namespace))


def _claim(request: ClaimRequest) -> ClaimRequest:
    checked(request.session, _BODY_SESSION)
    _not_negative(request.want)
    wait_s = min(max(request.wait_s, 0.0), MAX_WAIT_S)
    return request if wait_s == request.wait_s else msgspec.structs.replace(request, wait_s=wait_s)


def _not_negative(want: int) -> None:
    if want < 0:
        raise Invalid(f"`want` is a number of tasks, not {want}", place="body.want", remedy="At capacity, want 0.")


async def _hung_up(leases: Leases, session: str, answer: ClaimAnswer | None) -> None:
    """The runner's claim stream closed: hand back what it did not get, and let its lease run out early."""
    if answer is not None:
        await leases.undelivered(session, answer)
    await leases.closed(session)


ROUTES = (
    Route(
        method="POST",
        path=f"{NAMESPACED}/claims",
        scopes=("run",),
        summary="Claim tasks; held open until there are some",
        endpoint=claim_tasks,
        request=ClaimRequest,
        response=ClaimAnswer,
        hot=True,
        audit="no",
    ),
    Route(
        method="POST",
        path=f"{NAMESPACED}/reports",
        scopes=("run",),
        summary="Report outcomes, progress, logs and the beat; get the next tasks",
        endpoint=report_tasks,
        request=ReportRequest,
        response=ReportAnswer,
        hot=True,
        audit="no",
    ),
    Route(
        method="DELETE",
        path=f"{NAMESPACED}/sessions",
        scopes=("run",),
        summary="A runner leaves: release all that its session holds",
        endpoint=leave,
        headers=(SESSION_HEADER,),
        status=204,
        audit="no",
    ),
    Route(
        method="GET",
        path=f"{NAMESPACED}/runners",
        scopes=("read",),
        summary="List the runners that serve this namespace",
        endpoint=list_runners,
        response=list[RunnerView],
    ),
)
