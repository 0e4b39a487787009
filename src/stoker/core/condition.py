"""Conditions on edges: one CEL expression over what arrives. Parsed at a push, evaluated for each task it may make.

Its library loads when a graph first has a condition. An expression cannot loop but over a list, reads no clock and
reaches nothing outside of its four variables; what is checked here bounds how deep it nests and what it costs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from stoker.core.values import NULL, decoded

VARIABLES = frozenset({"item", "index", "inputs", "store"})
MAX_SIZE = 1_000  # bytes; its parser recurses
MAX_BRACKETS = 50
_SIGNS = "&& for and, || for or, ! for not"

_MACROS = frozenset({"all", "exists", "exists_one", "map", "filter"})
_TYPES = frozenset({"bool", "bytes", "double", "int", "list", "map", "null_type", "string", "uint"})
_FUNCTIONS = frozenset(
    {
        *("bytes", "contains", "double", "duration", "dyn", "endsWith", "int", "matches", "size", "startsWith"),
        *("string", "timestamp", "type", "uint"),
        *("getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear", "getHours"),
        *("getMilliseconds", "getMinutes", "getMonth", "getSeconds"),
    }
)
_TOKEN = re.compile(
    r"""
    (?P<raw>[bB]?[rR][bB]?(?:'{3}.*?'{3}|"{3}.*?"{3}|'[^'\n]*'|"[^"\n]*"))
    | (?P<text>[bB]?(?:'{3}(?:\\.|[^\\])*?'{3}|"{3}(?:\\.|[^\\])*?"{3}|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"))
    | (?P<comment>//[^\n]*)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<number>[0-9][0-9A-Za-z_.]*)
    | (?P<sign>\S)
    """,
    re.VERBOSE | re.DOTALL,
)


class BadCondition(ValueError):
    """An expression that cannot be a condition."""


class Untold(ValueError):
    """A condition that cannot be told for an item: it lacks what is looked at, or the result is no boolean."""


class Around:
    """What the conditions of a run may read besides the item: its inputs and its store, as JSON objects or empty."""

    def __init__(self, inputs: bytes = b"", store: bytes = b"") -> None:
        self._json = {"inputs": inputs, "store": store}
        self._read: dict[str, dict[str, Any]] = {}

    def of(self, condition: Condition) -> dict[str, Any]:
        """The variables for one condition, with no more in them than it looks at: each evaluation converts them."""
        if not condition.around:
            return {}
        if condition.source not in self._read:
            self._read[condition.source] = {
                name: _narrowed(decoded(self._json[name] or b"{}"), keys) for name, keys in condition.around.items()
            }
        return self._read[condition.source]


def _narrowed(values: dict[str, Any], keys: frozenset[str] | None) -> dict[str, Any]:
    return values if keys is None else {key: value for key, value in values.items() if key in keys}


@dataclass(frozen=True, slots=True)
class Condition:
    """`around`: which keys of `inputs` and `store` it reads, by variable; None: perhaps all of them."""

    source: str
    reads: frozenset[str] = field(compare=False)
    around: dict[str, frozenset[str] | None] = field(compare=False)
    program: Any = field(compare=False, repr=False)

    def holds(self, item: bytes | None, index: int, around: Around) -> bool:
        """Whether the edge carries an item. Untold says why that cannot be said."""
        values = dict(around.of(self))
        if "item" in self.reads:
            values["item"] = decoded(item or NULL)
        if "index" in self.reads:
            values["index"] = index
        try:
            found = self.program.execute(values)
        except Exception as error:  # noqa: BLE001 - whatever an expression runs into fails its own task alone
            raise Untold(_reason(error)) from None
        if not isinstance(found, bool):
            raise Untold(f"its result is {_kind(found)}, not true or false")
        return found


def parse(source: str) -> Condition:
    """The condition that a text is. BadCondition says what is wrong with it."""
    _check_size(source)
    tokens = [(found.lastgroup, found[0]) for found in _TOKEN.finditer(source) if found.lastgroup != "comment"]
    bound = _check_nesting(tokens)
    program = _compiled(source)
    used = program.references()
    _check_names(set(used["variables"]) - bound, {name for name in used["functions"] if name.isalpha()})
    reads = VARIABLES & set(used["variables"])
    around = {name: _keys(tokens, name) for name in sorted(reads - {"item", "index"})}
    return Condition(source, reads, around, program)


def _check_size(source: str) -> None:
    if len(source.encode(errors="replace")) > MAX_SIZE:
        raise BadCondition(f"it is longer than {MAX_SIZE} bytes")
    if sum(map(source.count, "([{")) > MAX_BRACKETS:
        raise BadCondition(f"it has more than {MAX_BRACKETS} opening brackets")


def _check_nesting(tokens: list[tuple[str | None, str]]) -> set[str]:
    """Refuse a comprehension inside of another one; gives the names that comprehensions bind."""
    bound: set[str] = set()
    brackets: list[bool] = []  # those open; whether each begins a comprehension
    for at, (_, sign) in enumerate(tokens):
        if sign in ("(", "[", "{"):
            begins = sign == "(" and at >= 2 and tokens[at - 1][1] in _MACROS and tokens[at - 2][1] == "."
            if begins and True in brackets:
                raise BadCondition("it has a comprehension (all, exists, map, …) inside of another one")
            if begins and at + 1 < len(tokens):
                bound.add(tokens[at + 1][1])
            brackets.append(begins)
        elif sign in (")", "]", "}") and brackets:
            brackets.pop()
    return bound - VARIABLES


def _compiled(source: str) -> Any:
    import cel

    try:
        return cel.compile(source)
    except ValueError as error:
        said = str(error).partition("ERROR: ")[2] or str(error)
        words = f"; CEL writes {_SIGNS}" if _words(source) else ""
        raise BadCondition(f"it is not an expression: {said.splitlines()[0][:200]}{words}") from None


def _words(source: str) -> bool:
    """Whether it is written with Python's operators."""
    return any(token.lastgroup == "name" and token[0] in ("and", "or", "not") for token in _TOKEN.finditer(source))


def _check_names(variables: set[str], functions: set[str]) -> None:
    if unknown := sorted(variables - VARIABLES - _TYPES):
        raise BadCondition(f"there is no variable {unknown[0]!r}; there are {', '.join(sorted(VARIABLES))}")
    if unknown := sorted(functions - _FUNCTIONS):
        raise BadCondition(f"there is no function {unknown[0]!r}; there are {', '.join(sorted(_FUNCTIONS))}")


def _keys(tokens: list[tuple[str | None, str]], variable: str) -> frozenset[str] | None:
    """The keys `k` of `variable.k`; None if it is used in another way too."""
    keys: set[str] = set()
    for at, (_, token) in enumerate(tokens):
        if token != variable or (at and tokens[at - 1][1] == "."):
            continue
        after = tokens[at + 1 : at + 3]
        if len(after) < 2 or after[0][1] != "." or after[1][0] != "name":
            return None
        keys.add(after[1][1])
    return frozenset(keys)


def _reason(error: Exception) -> str:
    match error:
        case KeyError():
            return f"there is no {error.args[0]!r}"
        case TypeError():
            return "what it compares or calculates with is not of types that go together"
        case ZeroDivisionError():
            return "it divides by zero"
        case OverflowError():
            return "a number is too large"
        case _:
            return str(error).partition(". ")[0][:300]


def _kind(value: object) -> str:
    words = {type(None): "null", str: "a text", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return words.get(type(value), type(value).__name__)
