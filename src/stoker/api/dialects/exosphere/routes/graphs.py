"""Graph templates: put, shown, listed, triggered."""

from __future__ import annotations

from typing import Any

import msgspec

from stoker.api import auth
from stoker.api.call import Answer, Call, as_json
from stoker.api.dialects.exosphere import checks, crons, templates, translate
from stoker.api.dialects.exosphere.kinds import kinds_of
from stoker.api.dialects.exosphere.upsert import read_trigger, read_upsert
from stoker.api.dialects.exosphere.wire import TriggerBody, Upsert, set_text
from stoker.api.route import Route
from stoker.core import names
from stoker.core.graph import GraphSpec
from stoker.core.views import PushRequest, TriggerRequest
from stoker.engine.documents import Changes, Document
from stoker.engine.schedule_sets import ScheduleSet
from stoker.errors import Forbidden, Invalid, NotFound

_GRAPH = "/v0/namespace/{namespace}/graph/{name}"


async def put_graph(call: Call) -> Answer:
    """A new version of a graph, VALID or not; what is refused leaves the one before."""
    upsert = read_upsert(call.body)
    if refused := checks.refusals(call.name, call.namespace, upsert):
        raise Invalid(refused[0])
    _check_name(call.name)
    _check_namespaces(call, upsert)
    kinds = await kinds_of(call.engine, upsert)
    faults = checks.faults(upsert, kinds)
    if not faults:
        spec = translate.graph(call.name, call.namespace, upsert, kinds, call.state.max_losses)
        try:
            return await _publish(call, upsert, spec, [], translate.accepted(upsert, kinds))
        except Invalid as error:
            if error.code != "invalid_graph":
                raise
            faults = [f"{problem.place}: {problem.message}" for problem in error.problems]
    return await _publish(call, upsert, GraphSpec(name=call.name, nodes=(), faults=tuple(faults)), faults, set())


async def _publish(call: Call, upsert: Upsert, spec: GraphSpec, faults: list[str], accepted: set[str]) -> Answer:
    """The version, what was sent, its secrets and its schedules, in one transaction."""
    engine = call.engine
    secrets = await engine.secrets.sealed(call.namespace, call.name, upsert.secrets)
    kept = templates.template(upsert, faults, checks.warnings(upsert), accepted)
    due = ScheduleSet(crons.owned(call.name), crons.schedules(call.name, upsert.triggers, accepted))
    stored: list[Document] = []

    async def along(changes: Changes, version: int) -> None:
        document = await templates.keep(changes, call.name, msgspec.structs.replace(kept, version=version))
        await changes.put_secrets(secrets)
        await changes.put_schedules(due)
        stored[:] = [document]

    await engine.catalog.push(call.namespace, PushRequest(graph=spec), along)
    engine.schedules.changed()
    return as_json(templates.reply(stored[0], call.namespace), 201)


async def get_graph(call: Call) -> Answer:
    return as_json(templates.reply(await _found(call), call.namespace))


async def list_graphs(call: Call) -> Answer:
    found = await call.engine.documents.list(call.namespace, templates.SORT)
    shown = [templates.listed(document, call.namespace) for document in found]
    return as_json({"namespace": call.namespace, "count": len(shown), "templates": shown})


async def trigger_graph(call: Call) -> Answer:
    """A run of the newest version."""
    found = await call.engine.documents.named(call.namespace, templates.SORT, call.name)
    if found is None:
        raise NotFound(f"Graph template not found for namespace {call.namespace} and graph {call.name}")
    template = templates.read(found)
    if not template.valid:
        raise Invalid("Graph template is not valid")
    given = _given(call.body, template)
    if missing := template.upsert.store_config.required - given.store.keys():
        raise Invalid(f"Missing store keys: {set_text(missing)}")
    (run,) = await call.engine.runs.trigger(call.namespace, [_request(call.name, given, template)])
    return as_json({"status": "CREATED", "run_id": call.engine.opaque.uuid(run.id)})


def _given(body: Any, template: templates.Template) -> TriggerBody:
    """What a trigger gives, in the form of today's clients or in that of the first ones."""
    states = body.get("states") if isinstance(body, dict) else None
    if states is None:
        return read_trigger(body)
    match states:
        case [{"identifier": str(identifier), **rest}] if identifier == templates.root(template):
            return read_trigger({"inputs": rest.get("inputs", {})})
        case _:
            raise Invalid("Only the root node can be triggered")


def _request(name: str, given: TriggerBody, template: templates.Template) -> TriggerRequest:
    return TriggerRequest(
        graph=name,
        version=template.version,
        inputs={key: crons.raw(value) for key, value in given.inputs.items() if key in template.accepted},
        store={key: crons.raw(value) for key, value in given.store.items()},
        delay=f"{given.start_delay}ms" if given.start_delay else None,
    )


async def _found(call: Call) -> Document:
    found = await call.engine.documents.named(call.namespace, templates.SORT, call.name)
    if found is None:
        raise NotFound(f"Graph template {call.name} not found in namespace {call.namespace}")
    return found


def _check_name(name: str) -> None:
    if names.fault(name):
        raise NotFound("Not Found")


def _check_namespaces(call: Call, upsert: Upsert) -> None:
    """The caller publishes what runs in each namespace whose kinds are named."""
    for namespace in sorted({node.namespace for node in upsert.nodes} - {call.namespace}):
        if not auth.enters(call.caller, namespace):
            raise Forbidden(f"API key has no access to namespace {namespace}")


def _route(method: Any, path: str, endpoint: Any, summary: str, scope: Any, **more: Any) -> Route:
    return Route(
        method=method,
        path=path,
        scopes=(scope,),
        summary=summary,
        endpoint=endpoint,
        response=dict[str, Any],
        **more,
    )


ROUTES = (
    _route("PUT", _GRAPH, put_graph, "Put a graph template: a new version, VALID or INVALID", "author", request=Any),
    _route("GET", _GRAPH, get_graph, "Show a graph template", "read"),
    _route("GET", "/v0/namespace/{namespace}/graphs", list_graphs, "List the graph templates", "read"),
    _route("POST", f"{_GRAPH}/trigger", trigger_graph, "Start a run of a graph", "trigger", request=Any, audit="run"),
)
