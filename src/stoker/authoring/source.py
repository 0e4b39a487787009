"""What is read from a function's source: its line, its hash, its hints."""

from __future__ import annotations

import hashlib
import inspect
import sys
import textwrap
import typing
from collections.abc import Callable, Mapping
from typing import Any

from stoker.authoring.misuse import misuse


def line_of(code: Callable[..., Any] | type) -> str:
    """Where it is defined: `file.py:12`."""
    if isinstance(code, type):
        try:
            _, line = inspect.getsourcelines(code)
        except (OSError, TypeError):
            return f"{code.__module__}.{code.__qualname__}"
        return f"{inspect.getsourcefile(code)}:{line}"
    found = inspect.unwrap(code)
    return f"{found.__code__.co_filename}:{found.__code__.co_firstlineno}"


def source_hash(code: Callable[..., Any] | type) -> str:
    """SHA-256 of the source text, dedented; of the bytecode where there is no text."""
    try:
        text = textwrap.dedent(inspect.getsource(code)).encode()
    except (OSError, TypeError):
        text = code.__code__.co_code if inspect.isfunction(code) else repr(code).encode()
    return hashlib.sha256(text).hexdigest()


def hints_of(code: Callable[..., Any], names: Mapping[str, Any], place: str) -> dict[str, Any]:
    """The function's hints, resolved. Raises Misuse naming the line if a name in them is unknown."""
    try:
        return typing.get_type_hints(code, localns=dict(names), include_extras=True)
    except (NameError, AttributeError, SyntaxError, TypeError) as error:
        raise misuse(
            f"a hint of {code.__qualname__} cannot be resolved: {error}.",
            "Import the name at module level, not under TYPE_CHECKING.",
            place=place,
        ) from error


def names_around(code: Callable[..., Any] | type, frames: int) -> dict[str, Any]:
    """The local names where a nested function is decorated, which its hints may use."""
    if "<locals>" not in code.__qualname__:
        return {}
    return dict(sys._getframe(frames + 1).f_locals)


def summary(code: Callable[..., Any] | type) -> str:
    """The first paragraph of the docstring."""
    return (inspect.getdoc(code) or "").split("\n\n")[0].strip() if code.__doc__ else ""


def parameters(code: Callable[..., Any], what: str, place: str) -> list[inspect.Parameter]:
    """Its parameters. Raises Misuse for those that cannot be given by name."""
    found = list(inspect.signature(code).parameters.values())
    for parameter in found:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
            star = "*" if parameter.kind is parameter.VAR_POSITIONAL else ""
            raise misuse(
                f"the parameter {star}{parameter.name} of {what} has no name that an input could have.",
                "Inputs are named: use plain or keyword-only parameters.",
                place=place,
            )
    return found
