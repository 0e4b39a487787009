"""The secrets that kinds declare: whether they may be called so, and whether they are set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from stoker.core.graph import KindSpec
from stoker.core.options import kind_faults
from stoker.core.secret import name_fault
from stoker.engine.ports import Reader, Row
from stoker.engine.versions import check_schemas
from stoker.errors import Invalid, Problem


def check_kinds(kinds: Sequence[KindSpec]) -> None:
    """Refuse kinds that no version could keep: their schemas, secrets, leases."""
    check_schemas(kinds)
    check_secrets(kinds)
    problems = [
        Problem(code="bad_option", place=f"kind {kind.name!r}", message=wrong)
        for kind in kinds
        for wrong in kind_faults(kind)
    ]
    if problems:
        raise Invalid("some kinds cannot be as they are", code="bad_kind", problems=problems)


def check_secrets(kinds: Sequence[KindSpec]) -> None:
    """Refuse kinds that declare what cannot be a secret's name."""
    problems = [
        Problem(code="bad_secret", place=f"kind {kind.name!r}, secrets", message=f"{wrong}.")
        for kind in kinds
        for name in kind.secrets
        if (wrong := name_fault(name))
    ]
    if problems:
        raise Invalid("some kinds declare secrets that cannot be", code="bad_secret", problems=problems)


class Declared(NamedTuple):
    """Secrets that a task of a graph needs. `namespace`: that of the graph."""

    namespace: int
    graph: str
    names: tuple[str, ...]


async def found(reader: Reader, declared: Declared, namespace: int) -> tuple[list[Row], list[Row]]:
    """Those that are set, as (name, key, sealed): of the graph itself, and for what it has not, of a namespace."""
    names = sorted(set(declared.names))
    if not names:
        return [], []
    own = await reader.rows("graph_secrets_named", declared.namespace, declared.graph, names)
    rest = [name for name in names if name not in {row[0] for row in own}]
    return own, await reader.rows("secrets_named", namespace, rest) if rest else []


async def doubts(reader: Reader, namespace: int, graph: str, kinds: Sequence[KindSpec]) -> list[str]:
    """What a push is warned about: secrets that its kinds need and nobody has set."""
    names = {name for kind in kinds for name in kind.secrets}
    own, kept = await found(reader, Declared(namespace, graph, tuple(names)), namespace)
    lacking = names - {row[0] for row in (*own, *kept)}
    return [
        f"the kind {kind.name!r} declares the secret {name!r}, which is not set: its tasks FAIL unless it is optional. "
        f"Set it with `stoker secrets set {name}`."
        for kind in kinds
        for name in kind.secrets
        if name in lacking
    ]
