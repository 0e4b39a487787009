"""The one grammar by which runs and tasks are chosen, from text and back.

::

    filter = term, more terms behind spaces; all must hold
    term   = field operator value, more values behind commas; one must hold (with != none may)
    value  = a word, or a text in double quotes with \\" and \\\\ inside

What fields there are, and of what sort, their noun says (`run_filter`, `task_filter`, `audit_filter`). Nothing here
knows SQL.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, NamedTuple, assert_never

from stoker.core.duration import Micros, micros
from stoker.errors import Invalid

TAG = "tag."
MOST = 2**63 - 1  # the largest number that a row can have
LONGEST = 16 * 1024  # characters of a filter
_OPERATOR = re.compile(r"!=|<=|>=|=|<|>")
_FIELD = re.compile(r"[A-Za-z_]+")
_BARE = re.compile(r"[^\s,\"]+")
_TAG_NAME = re.compile(r"[^\s,\"=!<>]+")
_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_SPACES = re.compile(r"\s*")


class Sort(Enum):
    """What the values of a field are, and how they are compared. The value: what is expected of one, in words."""

    WORD = "one of its words"
    TEXT = "a text"
    NUMBER = "a whole number"
    RUN = "the number of a run"
    OWNER = "the number of a token, 0 for the server's own"
    THING = "a thing such as run:12 or graph:nightly"
    TIME = "a duration such as 2d or 1h30m, which means so long ago, or a time such as 2026-11-01T08:00Z"


OPERATORS = {
    Sort.WORD: ("=", "!="),
    Sort.TEXT: ("=", "!="),
    Sort.NUMBER: ("=", "!=", "<", "<=", ">", ">="),
    Sort.RUN: ("=",),
    Sort.OWNER: ("=", "!="),
    Sort.THING: ("=",),
    Sort.TIME: ("<", "<=", ">", ">="),
}


class Field(NamedTuple):
    """What may be asked of a field. `words`: the values that a WORD has."""

    sort: Sort
    words: tuple[str, ...] = ()


class Moment(NamedTuple):
    """A time, or (`ago`) how long before now it lies."""

    text: str
    micros: Micros
    ago: bool

    def at(self, now: Micros) -> Micros:
        return now - self.micros if self.ago else self.micros


Given = str | int | Moment


class Term(NamedTuple):
    field: str
    operator: str
    values: tuple[Given, ...]


def parse(text: str, fields: Mapping[str, Field]) -> tuple[Term, ...]:
    """The terms of a filter; none if it is empty. Invalid, saying where, what was expected and which fields there are.

    A field `tag.` stands for all tags: `tag.team`.
    """
    return _Parser(text, fields).terms()


def render(terms: Sequence[Term]) -> str:
    """The filter as text: what `parse` gives again."""
    return " ".join(f"{_name(term.field)}{term.operator}{','.join(map(_value, term.values))}" for term in terms)


def term(field: str, *values: str) -> str:
    """`field=value,…` as text."""
    return render([Term(field, "=", values)])


class Allowed:
    """What all terms about one field together let through: `only` these, `never` those, from `low` to `high`."""

    def __init__(self) -> None:
        self.only: frozenset[Any] | None = None  # all of the type that the field has
        self.never: frozenset[Any] = frozenset()
        self.low, self.high = -MOST, MOST

    def narrow(self, term: Term, now: Micros) -> None:
        """Let through no more than a further term does."""
        if term.operator == "=":
            self.only = frozenset(term.values) if self.only is None else self.only & frozenset(term.values)
        elif term.operator == "!=":
            self.never |= frozenset(term.values)
        else:
            value = term.values[0]
            assert not isinstance(value, str)
            number = value.at(now) if isinstance(value, Moment) else value
            if term.operator in (">", ">="):
                self.low = max(self.low, number + (term.operator == ">"))
            else:
                self.high = min(self.high, number - (term.operator == "<"))

    @property
    def free(self) -> bool:
        """Whether everything is let through."""
        return self.only is None and not self.never and (self.low, self.high) == (-MOST, MOST)

    def lets(self, value: str | int) -> bool:
        if (self.only is not None and value not in self.only) or value in self.never:
            return False
        return isinstance(value, str) or self.low <= value <= self.high


class Narrowed:
    """The terms of a filter, by field."""

    def __init__(self, terms: Sequence[Term], now: Micros) -> None:
        self._fields: dict[str, Allowed] = {}
        for each in terms:
            self._fields.setdefault(each.field, Allowed()).narrow(each, now)

    def __getitem__(self, field: str) -> Allowed:
        return self._fields.get(field) or Allowed()

    @property
    def tags(self) -> dict[str, Allowed]:
        return {name[len(TAG) :]: found for name, found in self._fields.items() if name.startswith(TAG)}


class _Parser:
    def __init__(self, text: str, fields: Mapping[str, Field]) -> None:
        self._text = text.replace("\0", "\1")  # no name holds either, and not every database takes the first
        self._fields = fields
        self._at = 0

    def terms(self) -> tuple[Term, ...]:
        if len(self._text) > LONGEST:
            raise self._wrong(LONGEST, f"a filter has at most {LONGEST} characters, not {len(self._text)}")
        found = []
        self._take(_SPACES)
        while self._at < len(self._text):
            found.append(self._term())
            end = self._at
            self._take(_SPACES)
            if end == self._at < len(self._text):
                raise self._wrong(end, f"a space is expected between terms, not {self._text[end]!r}")
        return tuple(found)

    def _term(self) -> Term:
        name, field = self._field()
        at = self._at
        operator = self._take(_OPERATOR)
        if operator is None:
            raise self._wrong(at, f"an operator is expected behind {name!r}: {' '.join(OPERATORS[field.sort])}")
        if operator not in OPERATORS[field.sort]:
            takes = " or ".join(OPERATORS[field.sort])
            raise self._wrong(at, f"{name!r} is compared by {takes}, not by {operator}")
        values = [self._given(name, field)]
        while self._text[self._at : self._at + 1] == ",":
            self._at += 1
            values.append(self._given(name, field))
        if len(values) > 1 and operator not in ("=", "!="):
            raise self._wrong(at, f"{operator} compares with one value, not with {len(values)}")
        return Term(name, operator, tuple(values))

    def _field(self) -> tuple[str, Field]:
        at = self._at
        if TAG in self._fields and self._text.startswith(TAG, at):
            self._at += len(TAG)
            tag = self._quoted() if self._text[self._at : self._at + 1] == '"' else self._take(_TAG_NAME)
            if not tag:
                raise self._wrong(self._at, "the name of a tag is expected, such as tag.team")
            return TAG + tag, self._fields[TAG]
        name = self._take(_FIELD)
        if name is None:
            raise self._wrong(at, f"a field is expected, not {self._text[at]!r}")
        if name not in self._fields:
            raise self._wrong(at, f"there is no field {name!r}{self._meant(name)}")
        return name, self._fields[name]

    def _meant(self, name: str) -> str:
        """The term that somebody who wrote this may have had in mind."""
        for field, found in self._fields.items():
            for word in found.words:
                if name.upper() == word.upper():
                    return f"; write {field}={word}"
        near = difflib.get_close_matches(name, self._fields, 1)
        return f"; did you mean {near[0]}{'NAME' if near[0] == TAG else ''}?" if near else ""

    def _given(self, name: str, field: Field) -> Given:
        at = self._at
        text = self._quoted() if self._text[at : at + 1] == '"' else self._take(_BARE)
        if text is None:
            raise self._wrong(at, f"{_expected(field)} is expected as a value of {name!r}")
        found = _read(field, text)
        if found is None:
            raise self._wrong(at, f"{_expected(field)} is expected as a value of {name!r}, not {text!r}")
        return found

    def _quoted(self) -> str:
        at = self._at
        found = _QUOTED.match(self._text, at)
        if found is None:
            raise self._wrong(
                at, 'a text that begins with " is expected to end with one (and \\ to stand before " or \\)'
            )
        self._at = found.end()
        return re.sub(r"\\(.)", r"\1", found[1])

    def _take(self, pattern: re.Pattern[str]) -> str | None:
        found = pattern.match(self._text, self._at)
        if found is None:
            return None
        self._at = found.end()
        return found[0]

    def _wrong(self, at: int, message: str) -> Invalid:
        known = ", ".join(f"{name}NAME" if name == TAG else name for name in self._fields)
        return Invalid(
            message if message.endswith("?") else f"{message}.",
            code="bad_filter",
            place=f"filter, character {at + 1}",
            remedy=f"The fields are {known}; such as `{_example(self._fields)}`.",
        )


def _expected(field: Field) -> str:
    return f"one of {', '.join(field.words)}" if field.words else field.sort.value


def _example(fields: Mapping[str, Field]) -> str:
    if "verb" in fields:
        return "verb=cancel_run at>2d"
    return 'state=FAILED tag.team=blue created>2d graph!="my graph"' if TAG in fields else "state=FAILED attempt>1"


_EPOCH = datetime.fromtimestamp(0, UTC)


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text, re.ASCII) else None


def moment(text: str) -> Moment | None:
    """A duration, which means so long ago, or a time; None if it is neither."""
    try:
        return Moment(text, micros(text), ago=True)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text)
        at = found if found.tzinfo else found.replace(tzinfo=UTC)
        return Moment(text, (at - _EPOCH) // timedelta(microseconds=1), ago=False)
    except (ValueError, OverflowError):
        return None


def _read(field: Field, text: str) -> Given | None:
    match field.sort:
        case Sort.WORD:
            return next((word for word in field.words if word.upper() == text.upper()), None)
        case Sort.TEXT | Sort.THING:
            return text
        case Sort.NUMBER | Sort.RUN | Sort.OWNER:
            return _number(text)
        case Sort.TIME:
            return moment(text)
        case _:
            assert_never(field.sort)


def _name(field: str) -> str:
    tag = field[len(TAG) :]
    return field if not field.startswith(TAG) or _TAG_NAME.fullmatch(tag) else TAG + _quote(tag)


def _value(value: Given) -> str:
    text = value.text if isinstance(value, Moment) else str(value)
    return text if _BARE.fullmatch(text) else _quote(text)


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
