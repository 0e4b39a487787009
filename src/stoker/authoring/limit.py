"""`Limit("openai", most=5)`: a limit by key in the form people write it."""

from __future__ import annotations

from stoker.authoring.misuse import misuse
from stoker.core import gate, graph
from stoker.core.names import fault


def Limit(  # noqa: N802 - it is written like the value it makes
    key: str, *, most: int | None = None, rate: str | None = None, by: str | tuple[str | int, ...] | None = None
) -> graph.Limit:
    """What all tasks with this key share, in every graph of the namespace.

    `most` of them run at once, `rate` start per time: `"5/s"`, `"100/min"` or `"1000/h"`. `by`: an input of the node,
    or (input, key, ...) for a part of its value; then tasks share a limit if this value is the same.
    """
    if wrong := fault(key):
        raise misuse(f"the key of a limit is a name, and {wrong}.")
    if most is None and rate is None:
        raise misuse(
            f"the limit {key!r} limits nothing.", "Pass most=5 (run at once), rate='100/min' (start), or both."
        )
    if most is not None and (isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= gate.MOST):
        raise misuse(f"most= of a limit is an integer from 1 to {gate.MOST}, not {most!r}.")
    if rate is not None:
        _check(rate)
    return graph.Limit(key=key, most=most, rate=rate, by=_path(by))


def _path(by: object) -> tuple[str | int, ...]:
    path = (by,) if isinstance(by, str) else () if by is None else by
    if not isinstance(path, tuple) or (by is not None and not (path and path[0] and isinstance(path[0], str))):
        raise misuse(
            f"by={by!r} names no input.", "Write by='tenant', or by=('order', 'tenant') for a part of its value."
        )
    if any(isinstance(part, bool) or not isinstance(part, str | int) for part in path):
        raise misuse(f"by={by!r} holds what is no key of a value.", "Write by=('order', 'tenant').")
    return path


def _check(rate: str) -> None:
    try:
        gate.rate(rate)
    except (ValueError, TypeError) as error:
        raise misuse(f"rate={rate!r}: {error}.", "Write '5/s', '100/min' or '1000/h'.") from None


def checked(limit: object) -> None:
    """Raises Misuse unless it is a limit, or none."""
    if limit is not None and not isinstance(limit, graph.Limit):
        raise misuse(f"limit={limit!r} is not a limit.", "Write limit=stoker.Limit('openai', most=5).")
