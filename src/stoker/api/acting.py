"""What a call is in the audit log: who, from where, which verb, on what. And the refusals, which are counted."""

from __future__ import annotations

import re
import secrets
from typing import Any

import msgspec

from stoker.api.call import Answer, Call, Scope, Server, header
from stoker.api.route import Route
from stoker.engine.acting import Act, doing
from stoker.engine.caller import Caller
from stoker.engine.refusals import Refusal
from stoker.errors import StokerError

REQUEST_ID = b"x-request-id"
_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)
_LONGEST = 200  # characters of what comes from outside
_SUBJECT = re.compile(r"/(\w+?)s/\{(id|name)(?::\w+)?\}")


async def acted(route: Route, call: Call) -> Answer:
    """Do what may change something. The transaction that does it leaves word; one that had nothing to do, here."""
    details = {} if route.told is None else route.told(call)
    if details is None:
        return await route.endpoint(call)
    audit = call.engine.audit
    if route.audit == "run" and not audit.triggers:
        with doing(Act(token=call.caller.token_id, kept=False)):
            return await route.endpoint(call)
    act = _act(route, call, details)
    with doing(act):
        answer = await route.endpoint(call)
    if not act.told:
        await audit.tell(act, "done" if route.audit == "begun" else "unchanged")
    return msgspec.structs.replace(answer, headers=(*answer.headers, (REQUEST_ID, act.request.encode())))


def refused(server: Server, route: Route, scope: Scope, error: StokerError) -> None:
    """Count a refusal: any that is for want of a right, and every one of what would have changed something."""
    if error.status not in (401, 403) and not (route.acts and error.status < 500):
        return
    if route.audit == "run" and error.status not in (401, 403) and not server.engine.audit.triggers:
        return
    caller: Caller | None = scope.get("caller")
    refusal = Refusal(
        token=None if caller is None else caller.token_id,
        name="" if caller is None else caller.name,
        namespace=_cut(scope["path_params"].get("namespace", "")),
        verb=route.name,
        address=address_of(scope),
        code=error.code,
    )
    dead = error.place.replace("tokens/", "token:") if error.place.startswith("tokens/") else ""
    server.engine.audit.refused(refusal, dead or subject_of(route, scope["path_params"]), request_id(scope))


def _act(route: Route, call: Call, details: dict[str, Any]) -> Act:
    forwarded = _cut(call.header(b"x-forwarded-for"))
    return Act(
        token=call.caller.token_id,
        name=call.caller.name,
        namespace=call.namespace,
        verb=route.name,
        subject=subject_of(route, call.path),
        address=address_of(call.scope),
        request=request_id(call.scope),
        at=call.engine.audit.now,
        details={**details, "forwarded": forwarded} if forwarded else details,
    )


def subject_of(route: Route, path: dict[str, str]) -> str:
    """What a path names: `run:12` of `…/runs/12/cancel`."""
    found = _SUBJECT.search(route.path)
    return _cut(f"{found[1]}:{path[found[2]]}") if found else ""


def address_of(scope: Scope) -> str:
    """Where the connection comes from; behind a proxy, that is the proxy."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def request_id(scope: Scope) -> str:
    """The caller's own `X-Request-Id`, if it is one, else a new one."""
    given = header(scope, REQUEST_ID)
    return given if _ID.fullmatch(given) else secrets.token_hex(8)


def _cut(text: str) -> str:
    """What somebody sent, as it may be kept."""
    return "".join(character for character in text[:_LONGEST] if character.isprintable())
