"""Graph versions as the engine runs them: compiled, with lanes and schema checks. Immutable, so kept in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jsonschema_rs
import msgspec

from stoker.core.away import by_key, namespaces, with_homes
from stoker.core.compile import compile_graph
from stoker.core.compiled import Compiled, CompiledNode
from stoker.core.graph import INPUT_KIND, GraphSpec, KindSpec, NodeSpec
from stoker.core.key import gate_name
from stoker.core.model import MAX_ITEMS
from stoker.core.names import fault as name_fault
from stoker.core.values import MAX_DEPTH, decoded, encode, too_deep
from stoker.core.words import counted
from stoker.engine.ports import Lane, Reader
from stoker.errors import Invalid, Problem

_ANYTHING: tuple[dict[str, Any], ...] = ({}, {"title": ""})


class Schema:
    """A compiled JSON Schema. One that allows everything still refuses what no reader could decode again."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._validator = None if schema in _ANYTHING else jsonschema_rs.validator_for(schema, retriever=_refuse)

    def fault(self, body: bytes) -> str | None:
        """What is wrong with a JSON value and where; None if nothing is."""
        if too_deep(body):
            return f"the value nests deeper than {MAX_DEPTH} levels"
        try:
            value = decoded(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
            return f"it is not JSON that can be read again: {wrong}"
        if self._validator is None or self._validator.is_valid(value):
            return None
        error = next(iter(self._validator.iter_errors(value)))
        path = "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.instance_path)
        return f"{error.message} at {path}"


_FREE = Schema({})
_GIVE = "Give it at the trigger: store={{'{0}': ...}}, or --store {0}=VALUE."


def _refuse(uri: str) -> Any:
    raise ValueError(f"the schema refers to {uri!r}, outside of itself")


def check_schemas(kinds: Sequence[KindSpec]) -> None:
    """Refuse kinds whose schemas are not schemas."""
    problems = []
    for kind in kinds:
        for side, schema in (("input", kind.input), ("output", kind.output)):
            try:
                Schema(schema)
            except (ValueError, jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
                message = f"it is not a JSON Schema: {error}"
                problems.append(Problem(code="bad_schema", place=f"kind {kind.name!r}, {side}", message=message))
    if problems:
        raise Invalid("some kinds have schemas that cannot be used", code="bad_schema", problems=problems)


def check_waits(graph: GraphSpec) -> None:
    """Refuse waits whose schemas are none, and defaults that do not fit them."""
    waits = {node.name: node.wait for node in graph.nodes if node.wait is not None}
    check_schemas([KindSpec(name=name, output=wait.schema) for name, wait in waits.items()])
    problems = [
        Problem(code="bad_option", place=f"node {name!r}", message=f"the default of the wait does not fit: {fault}.")
        for name, wait in waits.items()
        if wait.default is not msgspec.UNSET
        if (fault := Schema(wait.schema).fault(encode(wait.default)))
    ]
    if problems:
        message = f"the graph {graph.name!r} has {counted(len(problems), 'problem')}"
        raise Invalid(message, code="invalid_graph", problems=problems)


class Version:
    """One graph version, ready to run."""

    def __init__(self, id_: int, namespace: int, number: int, graph: Compiled) -> None:
        self.id = id_
        self.namespace = namespace
        self.number = number
        self.graph = graph
        self.inputs = {name: Schema(spec.schema) for name, spec in graph.spec.inputs.items()}
        self.store = {name: Schema(spec.schema) for name, spec in graph.spec.store.items()}
        self.outputs = [self._output(node) for node in graph.nodes]

    def _output(self, node: CompiledNode) -> Schema:
        if node.kind.name == INPUT_KIND:
            return self.inputs[node.name]
        return _FREE if node.kind.loose else Schema(node.kind.output)

    def input_body(self, given: dict[str, msgspec.Raw]) -> bytes:
        """The run's inputs as they are kept: given ones checked, defaults filled in. Invalid lists every fault."""
        if not given and not self.inputs:
            return b""
        problems = [
            Problem(code="unknown_input", place=f"inputs.{name}", message="the graph has no such input.")
            for name in given.keys() - self.inputs.keys()
        ]
        body: dict[str, Any] = {}
        for name, spec in self.graph.spec.inputs.items():
            if name in given:
                if fault := self.inputs[name].fault(bytes(given[name])):
                    problems.append(Problem(code="invalid_input", place=f"inputs.{name}", message=f"{fault}."))
                body[name] = given[name]
            elif spec.required and self.graph.live:
                continue  # it has its first value when one is published
            elif spec.required:
                problems.append(Problem(code="missing_input", place=f"inputs.{name}", message="it is required."))
            else:
                body[name] = spec.default
        if problems:
            message = f"the inputs of {self.graph.spec.name!r} are not what it takes"
            raise Invalid(message, code="invalid_input", problems=problems)
        return encode(body) if body else b""

    def store_body(self, given: dict[str, msgspec.Raw]) -> bytes:
        """The run's store as it is kept: as for inputs, but keys that the graph does not declare are taken too."""
        declared = self.graph.spec.store
        if not given and not declared:
            return b""
        problems = [
            Problem(code="invalid_input", place="store", message=f"{wrong}.")
            for name in given
            if (wrong := name_fault(name))
        ]
        problems += [
            Problem(code="invalid_input", place=f"store.{name}", message=f"{wrong}.")
            for name, value in given.items()
            if (wrong := self.store.get(name, _FREE).fault(bytes(value)))
        ]
        problems += [
            Problem(code="missing_input", place=f"store.{name}", message="it is required.", remedy=_GIVE.format(name))
            for name, spec in declared.items()
            if spec.required and name not in given
        ]
        if problems:
            message = f"the store is not what {self.graph.spec.name!r} takes"
            raise Invalid(message, code="invalid_input", problems=problems)
        defaults = {name: spec.default for name, spec in declared.items() if not spec.required}
        body = {**defaults, **given}
        return encode(body) if body else b""

    def output_fault(self, node: int, bodies: Sequence[bytes]) -> str | None:
        """What is wrong with the items of a task; None if nothing is."""
        if len(bodies) > MAX_ITEMS:
            return f"a report has at most {MAX_ITEMS} items, not {len(bodies)}"
        check = self.outputs[node].fault
        for body in bodies:
            if fault := check(body):
                return fault
        return None


class Versions:
    """All versions used since the start, by id."""

    def __init__(self) -> None:
        self._known: dict[int, Version] = {}
        self._numbered: dict[tuple[int, str, int], int] = {}

    def add(self, version: Version) -> Version:
        self._known[version.id] = version
        return version

    def known(self, version: int) -> Version | None:
        return self._known.get(version)

    async def numbered(self, reader: Reader, namespace: int, graph: str, number: int) -> Version:
        """A version that is there, by its number."""
        key = (namespace, graph, number)
        if key not in self._numbered:
            ((id_, *_),) = await reader.rows("version_by_number", *key)
            self._numbered[key] = id_
        return await self.get(reader, self._numbered[key])

    async def get(self, reader: Reader, version: int) -> Version:
        """The version; read and compiled at first use."""
        found = self._known.get(version)
        if found is None:
            row = await reader.version(version)
            assert row is not None, f"a run names the graph version {version}, which does not exist"
            spec = msgspec.json.decode(row.spec, type=GraphSpec)
            kinds = by_key(msgspec.json.decode(row.kinds, type=list[KindSpec]))
            gates = await gates_of(reader, row.namespace, spec)
            homes = await homes_of(reader, spec)
            lanes = await lanes_of(reader, row.namespace, spec, gates, homes)
            graph = with_homes(compile_graph(spec, kinds, lanes, gates), homes)
            found = self.add(Version(version, row.namespace, row.number, graph))
        return found


async def gates_of(reader: Reader, namespace: int, spec: GraphSpec) -> dict[str, int]:
    """The gate of each node that has a limit."""
    limited = {node.name: gate_name(node.limit) for node in spec.nodes if node.limit is not None}
    if not limited or namespace < 0:  # kept for runs that were brought here, which are not run on
        return {}
    known = {name: id_ for id_, name, *_ in await reader.rows("gates", namespace)}
    return {name: known[key] for name, key in limited.items()}


async def homes_of(reader: Reader, spec: GraphSpec) -> dict[str, int]:
    """The numbers of the other namespaces that a graph takes kinds of."""
    wanted = namespaces(spec)
    return {name: number for number, name in await reader.rows("namespaces") if name in wanted} if wanted else {}


async def lanes_of(
    reader: Reader, namespace: int, spec: GraphSpec, gates: Mapping[str, int], homes: Mapping[str, int]
) -> dict[str, int]:
    """The lane of each node: tasks of one kind with the same requirements and limit stand in one queue."""
    rows = map(Lane._make, await reader.rows("lanes"))
    known = {(lane.namespace, lane.kind, lane.requires, lane.gate): lane.id for lane in rows}
    keys = {node.name: lane_key(node, namespace, gates, homes) for node in spec.nodes}
    return {name: known[key] for name, key in keys.items() if key in known}


def by_value(node: NodeSpec) -> bool:
    """Whether each value has a limit of its own."""
    return node.limit is not None and bool(node.limit.by)


def lane_key(
    node: NodeSpec, namespace: int, gates: Mapping[str, int], homes: Mapping[str, int]
) -> tuple[int, str, str, int]:
    home = namespace if node.namespace is None else homes.get(node.namespace, namespace)
    return home, node.kind, msgspec.json.encode(node.requires, order="sorted").decode(), gates.get(node.name, 0)
