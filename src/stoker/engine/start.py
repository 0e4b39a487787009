"""What a run is started with, checked against its version."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import NamedTuple

import msgspec

from stoker.core.duration import Micros, micros
from stoker.core.model import PAYLOAD_INLINE
from stoker.core.names import fault
from stoker.core.tags import RULE as TAGS
from stoker.core.tags import wrong as wrong_tags
from stoker.core.views import TriggerRequest
from stoker.engine.versions import Version
from stoker.errors import Invalid, TooLarge

MOST_WEIGHT = 100


class Start(NamedTuple):
    """One run to start. `inputs`, `store`: as they are kept."""

    version: Version
    request: TriggerRequest
    inputs: bytes
    store: bytes
    delay: Micros = 0


def start_of(version: Version, request: TriggerRequest) -> Start:
    """A checked run. Invalid, TooLarge: it cannot be started like this."""
    check_faults(version)
    if not 0 <= request.priority <= 9:
        raise Invalid(f"a priority lies between 0 and 9, not {request.priority}.", code="bad_option", place="priority")
    if not 1 <= request.weight <= MOST_WEIGHT:
        raise Invalid(
            f"a weight lies between 1 and {MOST_WEIGHT}, not {request.weight}.", code="bad_option", place="weight"
        )
    if request.idempotency_key is not None and (wrong := fault(request.idempotency_key)):
        raise Invalid(wrong, code="bad_name", place="idempotency_key")
    if request.tags:
        check_tags(request.tags)
    inputs, store = version.input_body(request.inputs), version.store_body(request.store)
    if max(len(inputs), len(store)) > PAYLOAD_INLINE:
        check_size("inputs", inputs)
        check_size("store", store)
    return Start(version, request, inputs, store, _delay(version, request))


def _delay(version: Version, request: TriggerRequest) -> Micros:
    if request.delay is None:
        return 0
    graph = version.graph
    if graph.live or any(graph.nodes[kid.node].spec.expand for kid in graph.kids):
        wrong = "a live run, or one that begins with an expand, begins at once."
        raise Invalid(wrong, code="bad_delay", place="delay", remedy="Leave out the delay.")
    try:
        return micros(request.delay)
    except ValueError as error:
        raise Invalid(f"{error}.", code="bad_delay", place="delay", remedy="Write 90s, 15m or 1h30m.") from None


def check_faults(version: Version) -> None:
    """Invalid if this version was pushed although something is wrong with it."""
    spec = version.graph.spec
    if spec.faults:
        raise Invalid(
            f"version {version.number} of the graph {spec.name!r} cannot be run: {'; '.join(spec.faults)}",
            code="graph_not_valid",
            place="graph",
            remedy="Push a version that is right.",
        )


def check_tags(tags: Mapping[str, str]) -> None:
    if found := wrong_tags(tags):
        raise Invalid(found[0], code="bad_tag", place=found[1], remedy=TAGS)


def check_size(place: str, body: bytes) -> None:
    """TooLarge if the inputs or the store of a run have too many bytes to be kept."""
    if len(body) > PAYLOAD_INLINE:
        raise TooLarge(
            f"the {place} of the run have {len(body)} bytes; the limit is {PAYLOAD_INLINE}.",
            code="inputs_too_large",
            place=place,
            remedy="Pass large data as a stoker.File.",
        )


def request_hash(request: TriggerRequest) -> bytes:
    body = {name: bytes(value).decode() for name, value in sorted(request.inputs.items())}
    asked: list[object] = [request.graph, request.version, body]
    asked += [sorted(request.tags.items())] if request.tags else []  # without tags, as before there were any
    asked += [{name: bytes(value).decode() for name, value in sorted(request.store.items())}] if request.store else []
    asked += [["delay", request.delay]] if request.delay is not None else []
    return sha256(msgspec.json.encode(asked)).digest()
