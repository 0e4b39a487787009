"""Limits as graphs declare them, put into their rows. The newest push of a key says how much it allows."""

from __future__ import annotations

from typing import NamedTuple

from stoker.core import gate
from stoker.core.graph import GraphSpec, Limit
from stoker.core.key import gate_name, title
from stoker.engine.ports import Tx
from stoker.engine.versions import gates_of


class Limits(NamedTuple):
    """The gate of each node that has a limit; gates whose numbers a push changed, and what is to be said of that."""

    gates: dict[str, int]
    changed: list[int]
    warnings: list[str]


async def put_limits(tx: Tx, namespace: int, spec: GraphSpec) -> Limits:
    """Make the gates of a graph, or bring them up to date."""
    wanted = {gate_name(node.limit): node.limit for node in spec.nodes if node.limit is not None}
    if not wanted:
        return Limits({}, [], [])
    before = {str(name): (id_, tuple(numbers)) for id_, name, *numbers, _ in await tx.rows("gates", namespace)}
    differing = [key for key in sorted(wanted) if key not in before or before[key][1] != _numbers(wanted[key])]
    for key in differing:
        await tx.execute("put_gate", namespace, key, *_numbers(wanted[key]))
    changed = [key for key in differing if key in before]
    return Limits(
        await gates_of(tx, namespace, spec),
        [before[key][0] for key in changed],
        [
            f"the limit {title(key)!r} was {_words(before[key][1])}; from now on it is {_words(_numbers(wanted[key]))},"
            " for every graph that names it"
            for key in changed
        ],
    )


def _numbers(limit: Limit) -> tuple[int | None, int | None, int | None]:
    """How many at once; how many start, per what time."""
    rate = None if limit.rate is None else gate.rate(limit.rate)
    return (limit.most, None, None) if rate is None else (limit.most, *rate)


def _words(numbers: tuple[int | None, ...]) -> str:
    most, starts, per = numbers
    parts = [] if most is None else [f"{most} at once"]
    if starts is not None:
        parts.append(next(f"{starts}/{unit}" for unit, length in gate.UNITS.items() if length == per))
    return " and ".join(parts)
