"""Turns a `GraphSpec` into a `Compiled` graph, or says everything that is wrong with it, each problem with its place.

Three passes: what can be said of each node alone; the order and the spine (which node's task stands right above
which); then, on a sound spine, joins, bindings and schemas. A pass that found problems ends the compilation.
"""

from __future__ import annotations

from collections.abc import Mapping

from stoker.core import compile_live
from stoker.core.compiled import Compiled
from stoker.core.graph import GraphSpec, KindSpec
from stoker.core.words import counted
from stoker.errors import Invalid


def compile_graph(
    spec: GraphSpec,
    kinds: Mapping[str, KindSpec],
    lanes: Mapping[str, int] | None = None,
    gates: Mapping[str, int] | None = None,
) -> Compiled:
    """The compiled graph. Raises Invalid with all problems at once.

    `lanes`: the queue of each node, by its name; `gates`: the limit of each that has one.
    """
    from stoker.core.compiler import Compiler  # a server has begun long before it is given a graph

    compiler = Compiler(
        compile_live.with_inputs(spec) if spec.mode == "live" else spec, kinds, lanes or {}, gates or {}
    )
    for check in (compiler.check_nodes, compiler.find_spine, compiler.check_joins, compiler.check_bindings):
        check()
        if compiler.problems:
            raise Invalid(
                f"the graph {spec.name!r} has {counted(len(compiler.problems), 'problem')}",
                code="invalid_graph",
                problems=compiler.problems,
            )
    return compiler.build()
