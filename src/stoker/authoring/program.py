"""What tracing a graph function records, as values: calls in order, and where their arguments come from.

`trace.py` writes it, `lowering.py` reads it. A term is hashable, so equal terms are the same source.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from stoker.core.graph import Defaults, InputSpec, NodeSpec, Path

Policy = Literal["all_success", "all_done"]
OnFailure = Literal["continue", "stop"]


@dataclass(frozen=True, slots=True)
class Const:
    """A literal, as JSON (so that it is hashable)."""

    json: bytes


@dataclass(frozen=True, slots=True)
class Input:
    """An input of the graph."""

    name: str
    path: Path = ()


@dataclass(frozen=True, slots=True)
class Stored:
    """A value of the run's store."""

    name: str
    path: Path = ()


@dataclass(frozen=True, slots=True)
class Out:
    """The output of a call, by the call's index."""

    call: int
    path: Path = ()


@dataclass(frozen=True, slots=True)
class Elem:
    """The element that a parameter of a mapped graph stands for."""

    region: int
    name: str
    path: Path = ()


@dataclass(frozen=True, slots=True)
class Seq:
    items: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Fields:
    items: tuple[tuple[str, Term], ...]


@dataclass(frozen=True, slots=True)
class Maybe:
    """A handle that may have no value: `default` (JSON) stands for it then."""

    source: Out | Elem
    default: bytes


@dataclass(frozen=True, slots=True)
class Words:
    """A text put together from parts."""

    parts: tuple[Term, ...]


Term = Const | Input | Stored | Out | Elem | Seq | Fields | Maybe | Words


@dataclass(frozen=True, slots=True)
class Spread:
    """`each(source)` as an argument of `.map`."""

    source: Term


Argument = Term | Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A node called in a graph. `template` has name, kind and options; lowering adds how it fires and its bindings."""

    index: int
    region: int
    template: NodeSpec
    args: dict[str, Argument]
    mapped: bool = False
    many: bool = False
    policy: Policy = "all_success"
    when: str | None = None
    site: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A graph that was mapped: its calls carry this `index` as their region. Region 0 is the graph itself."""

    index: int
    parent: int
    name: str
    args: dict[str, Argument]
    site: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """A loop: its calls carry `inner` as their region. The end of an iteration has the next state, its start none.

    `index`: by which what is behind the loop refers to it, as to a call.
    """

    index: int
    region: int
    inner: int
    template: NodeSpec
    args: dict[str, Argument]
    ends: bool = False
    site: str = ""


Step = Call | Region | Round


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    name: str
    steps: tuple[Step, ...]
    inputs: dict[str, InputSpec] = field(default_factory=dict)
    store: dict[str, InputSpec] = field(default_factory=dict)
    result: Term | None = None
    description: str = ""
    defaults: Defaults = Defaults()  # noqa: RUF009 - a value
    on_failure: OnFailure = "continue"


def sources(term: Argument) -> list[Out | Elem]:
    """Every handle in a term."""
    match term:
        case Out() | Elem():
            return [term]
        case Spread(source) | Maybe(source):
            return sources(source)
        case Seq(items) | Words(items):
            return [found for item in items for found in sources(item)]
        case Fields(items):
            return [found for _, item in items for found in sources(item)]
        case _:
            return []
