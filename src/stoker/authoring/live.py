"""Turns a traced program into a live `GraphSpec`: each call is a node that fires when what it takes changes."""

from __future__ import annotations

import msgspec

from stoker.authoring.misuse import Misuse, misuse
from stoker.authoring.program import (
    Argument,
    Call,
    Const,
    Fields,
    Input,
    Maybe,
    Out,
    Program,
    Region,
    Seq,
    Step,
)
from stoker.core.graph import Binding, GraphSpec, ListOf, NodeSpec, ObjectOf, OnChange, Ref, RunInput, Value

Names = dict[int, str]  # by call


def lower_live(program: Program) -> GraphSpec:
    """The live graph that a traced program means. Raises Misuse, naming the line, for what cannot be live."""
    if program.result is not None:
        raise misuse(
            f"the live graph {program.name!r} returns something, but a live run never ends.",
            "Return nothing; read the outputs of its nodes: run.outputs().",
        )
    names: Names = {}
    nodes = []
    for step in program.steps:
        if not isinstance(step, Call) or step.mapped:
            raise _cannot(step, "is mapped", "A node of a live graph has one task at a time; loop inside of the node.")
        names[step.index] = step.template.name
        nodes.append(_node(step, names, program))
    return GraphSpec(
        name=program.name,
        nodes=tuple(nodes),
        mode="live",
        inputs=program.inputs,
        description=program.description,
        defaults=program.defaults,
        on_failure=program.on_failure,
    )


def _node(call: Call, names: Names, program: Program) -> NodeSpec:
    name = call.template.name
    if name in program.inputs:
        raise _cannot(call, "has the name of an input", f"Name one of them otherwise: {name}.options(name=...).")
    if call.when is not None or call.policy != "all_success":
        raise _cannot(call, "has when= or join=", "It fires on every change; decide inside of the node.")
    bind = {key: _binding(arg, names, call) for key, arg in call.args.items()}
    of = tuple(dict.fromkeys(source for arg in call.args.values() for source in _sources(arg, names)))
    return msgspec.structs.replace(call.template, fire=OnChange(of=of), bind=bind)


def _binding(arg: Argument, names: Names, call: Call) -> Binding:
    match arg:
        case Const(json):
            return Value(value=msgspec.json.decode(json))
        case Input(name, path):
            return RunInput(name=name, path=path)
        case Out(index, path):
            return Ref(node=names[index], path=path)
        case Maybe(Out(index, path), default):
            return Ref(node=names[index], path=path, default=msgspec.json.decode(default))
        case Seq(items):
            return ListOf(items=tuple(_binding(item, names, call) for item in items))
        case Fields(items):
            return ObjectOf(fields={key: _binding(item, names, call) for key, item in items})
        case _:
            raise _cannot(call, "goes over the elements of a list", "A node of a live graph has one task at a time.")


def _sources(arg: Argument, names: Names) -> list[str]:
    """The nodes that an argument comes from, inputs among them."""
    match arg:
        case Input(name):
            return [name]
        case Out(index) | Maybe(Out(index)):
            return [names[index]]
        case Seq(items):
            return [found for item in items for found in _sources(item, names)]
        case Fields(items):
            return [found for _, item in items for found in _sources(item, names)]
        case _:
            return []


def _cannot(step: Step, what: str, remedy: str) -> Misuse:
    name = step.name if isinstance(step, Region) else step.template.name
    return misuse(f"{name!r} {what}, which a live graph cannot have.", remedy, place=step.site)
