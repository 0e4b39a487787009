"""The secrets that a node's code is given, and what is said where one is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NoReturn

from stoker.authoring.misuse import misuse
from stoker.core.secret import MISSING, name_fault
from stoker.errors import Invalid


class Secrets(dict[str, str]):
    """By name. It does not show them when it is printed."""

    def __missing__(self, name: str) -> NoReturn:
        raise KeyError(f"the secret {name!r} is not among those that the node declares and that are set: {self!r}")

    def __repr__(self) -> str:
        return f"<secrets {', '.join(self) or 'none'}>"


def declared(names: Iterable[str], place: str) -> tuple[str, ...]:
    """The names of `secrets=`. Raises Misuse if they cannot be."""
    if isinstance(names, str):
        remedy = f"Write secrets=[{names!r}]."
        raise misuse(f"`secrets` is a list of names, not the text {names!r}.", remedy, place=place)
    for name in (found := tuple(names)):
        if wrong := name_fault(name):
            raise misuse(f"{wrong}.", "Name a secret like API_TOKEN.", place=place)
    return found


def check(required: Iterable[str], known: Mapping[str, str], node: str, place: str) -> None:
    """Refuse to begin without a secret that the code needs."""
    missing = [name for name in required if name not in known]
    if missing:
        are = "is" if len(missing) == 1 else "are"
        raise Invalid(
            f"the secret{'s' * (len(missing) > 1)} {', '.join(missing)} of {node!r} {are} not set.",
            code=MISSING,
            place=place,
            remedy=f"Set with `stoker secrets set {missing[0]}`, and retry; push the graph anew if the node declares "
            "more than it did.",
        )
