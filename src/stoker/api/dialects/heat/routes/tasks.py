"""Tasks of runners: claim one, say that it goes on, and how it ended. The id of a task names its attempt."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from stoker.api.call import Answer, Call
from stoker.api.dialects.heat import ids, tasks
from stoker.api.dialects.heat.desk import Desk, look
from stoker.api.dialects.heat.envelope import bare
from stoker.api.dialects.heat.nouns import feature, nodetemplate, runnertype
from stoker.api.dialects.heat.nouns.runnertask import ClaimTask, RunnerTask, TaskState
from stoker.api.dialects.heat.scheduling import Scheduling, scheduling
from stoker.api.dialects.heat.stage import stage
from stoker.api.query import Query
from stoker.api.route import Route
from stoker.core.names import well_formed
from stoker.core.own_claim import OwnClaim
from stoker.core.protocol import Complete, ErrorInfo, Fail, Release, Report
from stoker.core.standing import Standing
from stoker.errors import NotFound

_TASK = "/api/tasks/{task:int}"
NO_TASK = NotFound("there is no task for this runner now", code="no_task")


class Lasting(Query, frozen=True, rename="camel", forbid_unknown_fields=False):
    lease_seconds: Annotated[int, Meta(ge=0, le=86_400)] | None = None


async def claim_task(call: Call) -> Answer:
    """What nobody could have now is no task, whatever is in the way."""
    sent: ClaimTask = call.body
    kinds, terms = await look(call, lambda desk: _offered(desk, set(sent.supported_node_template_names)))
    allowed = call.caller.kinds
    kinds = [kind for kind in kinds if not allowed or kind in allowed]
    if not kinds:
        raise NO_TASK
    asked = OwnClaim(
        name=_tag(sent),
        kinds=tuple(kinds),
        lease_s=terms.claim_timeout_s,
        caller=f"token {call.caller.token_id}",
    )
    claimed = await call.engine.own.claim(call.namespace, asked, allowed)
    if not claimed:
        raise NO_TASK
    task = claimed[0].task
    attempt = (task.id, task.attempt)
    try:
        found = await stage(call, task.run)
        body = bare(await tasks.shown(found, task, task.attempt, TaskState.Claimed))
    except BaseException:
        await call.engine.own.release(call.namespace, [attempt])
        raise

    async def undelivered() -> None:
        await call.engine.own.release(call.namespace, [attempt])

    return Answer(body=body.body, media_type=body.media_type, undelivered=undelivered)


async def signal_task(call: Call) -> Answer:
    seconds = call.query.lease_seconds
    task, attempt = _attempt(call)
    if seconds == 0:
        return await _reported(call, Release(task=task, attempt=attempt))
    if seconds is None:
        seconds = (await look(call, scheduling)).run_timeout_s
    return await _told(call, await call.engine.own.extend(call.namespace, task, attempt, seconds))


async def complete_task(call: Call) -> Answer:
    task, attempt = _attempt(call)
    return await _reported(call, Complete(task=task, attempt=attempt, items=[]))


async def fail_task(call: Call) -> Answer:
    task, attempt = _attempt(call)
    return await _reported(call, Fail(task=task, attempt=attempt, error=ErrorInfo(message="the runner failed it")))


async def _reported(call: Call, report: Report) -> Answer:
    return await _told(call, await call.engine.own.report(call.namespace, report))


async def _told(call: Call, standing: Standing) -> Answer:
    """The attempt as it is now, whether the call changed anything or not."""
    if standing.now is None:
        raise _unknown(call)
    (now,) = await call.engine.own.standing(call.namespace, [(standing.task, standing.attempt)])
    if now.now is None:
        raise _unknown(call)
    found = await stage(call, now.now.run)
    return bare(await tasks.shown(found, now.now, now.attempt, tasks.state_of(now, over=found.scene.over)))


async def _offered(desk: Desk, named: set[str]) -> tuple[list[str], Scheduling]:
    """The node templates of these names that runners may claim now."""
    disabled = {each.name for each in await desk.all(feature.NOUN) if not each.record.is_enabled}
    runners = {each.id: each.record.enabled for each in await desk.all(runnertype.NOUN)}
    offered = [
        each.name
        for each in await desk.all(nodetemplate.NOUN)
        if each.name in named
        if nodetemplate.kind(each.name, each.record) is not None
        if each.record.feature_internal_name not in disabled
        if not each.record.supported_runners or any(runners.get(id_) for id_ in each.record.supported_runners)
    ]
    return offered, await scheduling(desk)


def _attempt(call: Call) -> ids.Attempt:
    found = ids.attempt_of(int(call.path["task"]))
    if found is None:
        raise _unknown(call)
    return found


def _tag(sent: ClaimTask) -> str:
    """A name for the runner; it need not be unique."""
    text = "".join(each if each >= " " else "\ufffd" for each in well_formed(str(sent.runner_tag or "")))
    return text.encode()[:200].decode(errors="ignore") or "runner"


def _unknown(call: Call) -> NotFound:
    return NotFound(f"there is no task {call.path['task']}", place="path.task")


ROUTES = (
    Route(
        method="POST",
        path="/api/tasks/claim",
        scopes=("run",),
        summary="Claim a task; 404: there is none",
        endpoint=claim_task,
        request=ClaimTask,
        response=RunnerTask,
        audit="no",
    ),
    Route(
        method="PUT",
        path=f"{_TASK}/signal",
        scopes=("run",),
        summary="Say that a task is being run",
        endpoint=signal_task,
        query=Lasting,
        response=RunnerTask,
        audit="no",
    ),
    Route(
        method="PUT",
        path=f"{_TASK}/complete",
        scopes=("run",),
        summary="End a task well",
        endpoint=complete_task,
        response=RunnerTask,
        audit="no",
    ),
    Route(
        method="PUT",
        path=f"{_TASK}/fail",
        scopes=("run",),
        summary="End a task badly",
        endpoint=fail_task,
        response=RunnerTask,
        audit="no",
    ),
)
