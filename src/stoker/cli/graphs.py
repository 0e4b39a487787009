"""`stoker graphs`: list, show, push."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cyclopts import App

from stoker.cli import exits, load, terminal
from stoker.cli.options import HERE, Where
from stoker.cli.reach import listed, reached

if TYPE_CHECKING:
    from stoker.core.graph import InputSpec, NodeSpec
    from stoker.core.views import GraphView

app = App(name="graphs", help="Graphs: list, show, push.", version_flags=[], help_epilogue="")


@app.command(name="list")
def list_(*, limit: int = 100, after: str | None = None, where: Where = HERE) -> int:
    """List the graphs of the namespace, each with its newest version.

    Parameters
    ----------
    limit: int
        How many.
    after: str
        Where the last page ended, as it said.
    """
    with reached(where) as here:
        page = listed(here, here.client.api.graphs(limit, after))
    if where.output == "json":
        terminal.document(page)
    elif not page.items:
        namespace = here.settings.namespace
        terminal.note(f"no graphs in the namespace {namespace!r} yet; push one with `stoker graphs push FILE:graph`")
    else:
        rows = [[view.name, str(view.version), terminal.ago(view.created_at)] for view in page.items]
        terminal.table(["GRAPH", "VERSION", "PUSHED"], rows, grow="GRAPH")
        if page.after:
            terminal.note(f"more: --after {page.after}")
    return exits.OK


@app.command
def get(name: str, /, *, version: int | None = None, where: Where = HERE) -> int:
    """Show a graph: its inputs, and how its nodes are wired.

    Parameters
    ----------
    name: str
        The graph.
    version: int
        Which one; else the newest.
    """
    with reached(where) as here:
        view = here.client.call(here.client.api.graph(name, version))
    if where.output == "json":
        terminal.document(view)
    else:
        _show(view)
    return exits.OK


@app.command
def push(target: str, /, *, where: Where = HERE) -> int:
    """Publish a graph of a file, with the kinds it uses. An unchanged graph keeps its version.

    Parameters
    ----------
    target: str
        FILE:graph; `:graph` may be left out if the file has one.
    """
    graph, _ = load.graph_of(target)
    request = load.checked(graph)
    with reached(where) as here:
        view = here.client.call(here.client.api.push(request))
    if where.output == "json":
        terminal.document(view)
        return exits.OK
    what = "pushed as" if view.created else "is unchanged:"
    terminal.say(f"{view.name} {what} version {view.version}")
    for warning in view.warnings:
        terminal.note(f"warning: {warning}")
    return exits.OK


def _show(view: GraphView) -> None:
    terminal.fields(
        [
            ("graph", view.name),
            ("version", str(view.version)),
            ("pushed", f"{view.created_at:%Y-%m-%d %H:%M:%S} UTC, {terminal.ago(view.created_at)}"),
            *([("about", view.spec.description)] if view.spec and view.spec.description else []),
        ]
    )
    if view.spec is None:
        return
    if view.spec.inputs:
        terminal.say("")
        rows = [[name, _type(spec.schema), _need(spec)] for name, spec in view.spec.inputs.items()]
        terminal.table(["INPUT", "TYPE", ""], rows, grow="")
    terminal.say("")
    terminal.table(["NODE", "KIND", "AFTER"], [_row(node) for node in view.spec.nodes], grow="AFTER")


def _row(node: NodeSpec) -> list[str]:
    from stoker.core.graph import Each, Edge, Join

    match node.fire:
        case Each(way=Edge(node=parent, expand=path)):
            after = parent if path is None else f"each of {parent}"
        case Each(ways=ways) if ways:
            after = f"{' or '.join(way.node for way in ways)}, once per path"
        case Join(of=parents) if parents:
            after = f"all of {', '.join(parents)}"
        case _:
            after = "the trigger"
    kind = f"{node.namespace}/{node.kind}" if node.namespace else node.kind
    return [node.name, "" if kind == node.name else kind, after]


def _need(spec: InputSpec) -> str:
    import json

    return "required" if spec.required else f"default {json.dumps(spec.default)}"


def _type(schema: dict[str, Any]) -> str:
    if "$artifact" in schema.get("properties", {}):
        return "file"
    if choices := schema.get("anyOf"):
        return " or ".join(map(_type, choices))
    kind = schema.get("type", "anything")
    if kind == "array" and schema.get("items"):
        return f"array of {_type(schema['items'])}"
    return kind if isinstance(kind, str) else " or ".join(kind)
