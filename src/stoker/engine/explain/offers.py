"""What stands between a READY task and a runner: nobody offers its kind, nobody meets what it requires, all are busy.

Of runners in other namespaces is said how many they are, never which: who asks here need not know what is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from stoker.core.compiled import CompiledNode
from stoker.core.digest import digest
from stoker.core.digest import read as read_digest
from stoker.core.protocol import RunnerInfo
from stoker.core.words import counted
from stoker.engine.explain.phrases import few
from stoker.engine.ports import Reader
from stoker.engine.sessions import Sessions, satisfies


class Found(NamedTuple):
    """Reasons, most important first, and a command that helps."""

    because: list[str]
    remedy: str = ""


class Offers:
    """Who is there for the tasks of a node."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def of(self, reader: Reader, namespace: int, name: str, node: CompiledNode) -> Found:
        """`name`: of the namespace, as a command must say it."""
        kind, requires = node.spec.kind, node.spec.requires
        present = await self._sessions.present(reader, namespace)
        offering = {id_: info for id_, info in present.items() if kind in info.kinds}
        where = "" if name == "default" else f" --namespace {name}"
        if not offering:
            elsewhere = await self._sessions.elsewhere(reader, namespace)
            return _nobody(kind, present, sum(kind in info.kinds for info in elsewhere), where)
        fitting = {id_: info for id_, info in offering.items() if satisfies(info, requires)}
        if not fitting:
            return _unmet(node, list(offering.values()), where)
        rows = await reader.rows("sessions", namespace)
        leases = {row[0]: row[4] for row in rows}
        other = _other(node, fitting.values())
        return Found([*_turn(kind, fitting, leases), *other.because], other.remedy)


def _nobody(kind: str, present: Mapping[int, RunnerInfo], elsewhere: int, where: str) -> Found:
    because = [f"no connected runner offers the kind {kind!r}"]
    if elsewhere:
        because.append(f"{counted(elsewhere, 'runner')} in other namespaces offer it; a runner works for one alone")
    if present:
        kinds = sorted({each for info in present.values() for each in info.kinds})
        because.append(f"{counted(len(present), 'connected runner')} here offer {few([repr(each) for each in kinds])}")
    elif not elsewhere:
        because.append("no runner is connected here")
    return Found(because, f"Start one: `stoker runner start FILE{where}`, where FILE defines {kind!r}.")


def _unmet(node: CompiledNode, offering: list[RunnerInfo], where: str) -> Found:
    requires = node.spec.requires
    wanted = [f"{key}={value}" for key, value in requires.labels.items()]
    wanted += [f"{key}>={value:g}" for key, value in requires.resources.items()]
    lacks = [f"{info.name!r} has {_has(node, info)}" for info in offering]
    flags = "".join(f" --label {key}={value}" for key, value in requires.labels.items())
    flags += "".join(f" --resource {key}={value:g}" for key, value in requires.resources.items())
    return Found(
        [f"no runner that offers the kind {node.spec.kind!r} meets {', '.join(wanted)}: {few(lacks)}"],
        f"Start one that does: `stoker runner start FILE{where}{flags}`.",
    )


def _has(node: CompiledNode, info: RunnerInfo) -> str:
    """What a runner has of that which is wanted and not met."""
    requires = node.spec.requires
    labels = [key for key, value in requires.labels.items() if info.labels.get(key) != value]
    resources = [key for key, value in requires.resources.items() if info.resources.get(key, 0.0) < value]
    has = [f"{key}={info.labels[key]}" if key in info.labels else f"no {key}" for key in labels]
    has += [f"{key}={info.resources[key]:g}" if key in info.resources else f"no {key}" for key in resources]
    return ", ".join(has)


def _turn(kind: str, fitting: Mapping[int, RunnerInfo], leases: Mapping[int, int]) -> list[str]:
    room = [id_ for id_, info in fitting.items() if leases.get(id_, 0) < info.capacity]
    if room:
        offers = "offers" if len(room) == 1 else "offer"
        return [f"{counted(len(room), 'connected runner')} {offers} the kind {kind!r}; it waits for its turn"]
    held, places = sum(leases.get(id_, 0) for id_ in fitting), sum(info.capacity for info in fitting.values())
    names = few([repr(info.name) for info in fitting.values()])
    return [f"every runner for it is busy ({names}): {counted(held, 'task')} in {counted(places, 'place')}"]


def _other(node: CompiledNode, fitting: Iterable[RunnerInfo]) -> Found:
    """Runners whose kind is not the one that the graph was pushed with. Those that do not say are believed."""
    expected = digest(node.kind)
    said = [
        (info.name, read_digest(info.digests[node.spec.kind])) for info in fitting if node.spec.kind in info.digests
    ]
    schema = [repr(name) for name, found in said if found.schema != expected.schema]
    source = [
        repr(name)
        for name, found in said
        if found.schema == expected.schema and expected.source and found.source != expected.source
    ]
    because = []
    if schema:
        because.append(f"the kind {node.spec.kind!r} has other schemas than its graph was pushed with at {few(schema)}")
    if source:
        because.append(f"the kind {node.spec.kind!r} has other code than its graph was pushed with at {few(source)}")
    remedy = "Push the graph anew (`stoker graphs push FILE:graph`) for new runs, or start runners of the old code."
    return Found(because, remedy if schema else "")
