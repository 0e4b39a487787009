"""The guide's list of common mistakes: each is made here, says what the list says, and every row is made."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

import stoker
from stoker.errors import StokerError

from .pages import ROOT

GUIDE = (ROOT / "docs" / "guide.md").read_text()
SECTION = GUIDE.partition("## Common mistakes")[2].partition("\n## ")[0]
ROWS = re.findall(r"^\| (.*) \| `(.*)` \|$", SECTION, flags=re.MULTILINE)


@stoker.node
def square(n: int) -> int:
    return n * n


@stoker.node
def squares() -> list[int]:
    return [1, 4]


@stoker.node
def add(a: int, b: int) -> int:
    return a + b


@stoker.node
def total(numbers: list[int]) -> int:
    return sum(numbers)


@stoker.node
def rows(table: stoker.File) -> list[str]:
    return table.read_text().splitlines()


@stoker.node
def nan() -> float:
    return float("nan")


@stoker.node
def raw() -> object:
    return b"bytes"


@stoker.node
def text() -> int:
    return "five"  # type: ignore[return-value]  # the mistake


@stoker.graph
def sums(numbers: list[int]):
    return total(numbers)


def isolated() -> None:
    @stoker.node(isolation=True)
    def inside() -> int:
        return 1

    stoker.run(stoker.graph(lambda: inside()))


def yields() -> None:
    @stoker.node
    def many():
        yield 1


def stars() -> None:
    @stoker.node
    def star(*args): ...


def traced(code: Callable[[], object]) -> Callable[[], object]:
    def push() -> object:
        with stoker.embedded() as client:
            return client.push(stoker.graph(code))

    return push


MISTAKES: dict[str, Callable[[], object]] = {
    "`if square(n): …`": traced(lambda: 1 if square(1) else 2),
    "`for day in days(): …`, `a, b = pair()`": traced(lambda: [*squares()]),
    "`square(n) + 1`": traced(lambda: square(1) + 1),
    '`f"{square(n)}"`': traced(lambda: f"{square(1)}"),
    "`square(n).total`": traced(lambda: square(1).total),  # type: ignore[attr-defined]
    "`square(n)[-1]`": traced(lambda: square(1)[-1]),  # type: ignore[index]
    "`square(stoker.each(numbers))`": traced(lambda: square(stoker.each([1]))),
    "`square.map(n=squares())`": traced(lambda: square.map(n=squares())),
    "`add.map(a=stoker.each(xs), b=stoker.each(ys))`": traced(lambda: add.map(a=stoker.each([1]), b=stoker.each([2]))),
    "`square(5, 6)`": traced(lambda: square(5, 6)),  # type: ignore[call-arg]
    '`rows(stoker.File("x.csv"))`': traced(lambda: rows(stoker.File("x.csv"))),
    '`square(n="five")`': traced(lambda: square(n="five")),  # type: ignore[arg-type]
    "`total(square(n))`, where `total` takes a list": traced(lambda: total(square(1))),  # type: ignore[arg-type]
    "`stoker.run(square, 3)` on a node": lambda: stoker.run(square, 3),
    "`sums([1])`, a graph called plainly": lambda: sums([1]),
    "`@stoker.node` on a function with `yield`": yields,
    "`def node(*args)`": stars,
    "returning NaN": lambda: stoker.run(stoker.graph(lambda: nan())),
    "returning `bytes`": lambda: stoker.run(stoker.graph(lambda: raw())),
    "returning what the hint does not say": lambda: stoker.run(stoker.graph(lambda: text())),
    "an isolated node inside of a function": isolated,
}


def test_every_row_of_the_guide_is_made_here() -> None:
    assert [row for row, _ in ROWS] == list(MISTAKES)


@pytest.mark.parametrize(("written", "says"), ROWS, ids=[row for row, _ in ROWS])
def test_a_mistake_says_what_the_guide_says(written: str, says: str) -> None:
    with pytest.raises((StokerError, TypeError)) as caught:
        MISTAKES[written]()
    assert says in str(caught.value)
