"""The secrets that kinds declare: whether they may be called so, and whether they are set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stoker.core.graph import KindSpec
from stoker.core.secret import name_fault
from stoker.engine.ports import Reader
from stoker.errors import Invalid, Problem


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


async def unset(reader: Reader, namespace: int, names: Iterable[str]) -> list[str]:
    """Which of these secrets are not set."""
    wanted = sorted(set(names))
    there = {row[0] for row in await reader.rows("secrets_named", namespace, wanted)} if wanted else set()
    return [name for name in wanted if name not in there]


async def doubts(reader: Reader, namespace: int, kinds: Sequence[KindSpec]) -> list[str]:
    """What a push is warned about: secrets that its kinds need and nobody has set."""
    lacking = await unset(reader, namespace, (name for kind in kinds for name in kind.secrets))
    return [
        f"the kind {kind.name!r} declares the secret {name!r}, which is not set: its tasks FAIL unless it is optional. "
        f"Set it with `stoker secrets set {name}`."
        for kind in kinds
        for name in kind.secrets
        if name in lacking
    ]
