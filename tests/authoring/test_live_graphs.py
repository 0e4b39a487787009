"""What a graph function of mode `live` means, and what cannot be live."""

from __future__ import annotations

from typing import Any

import pytest

import stoker
from stoker.authoring.misuse import Misuse
from stoker.core.compile import compile_graph
from stoker.core.graph import ListOf, OnChange, Ref, RunInput, Value


@stoker.node
def smooth(samples: list[float]) -> float:
    return sum(samples)


@stoker.node
def panel(level: float, parts: list[Any], text: str | None = None) -> str:
    return f"{level} {parts} {text}"


@stoker.node
def words(text: str) -> stoker.Items:
    return stoker.Items(text.split())


@stoker.graph(mode="live")
def board(samples: list[float], limit: float = 1.0):
    level = smooth(samples)
    panel(level, [limit, 2], stoker.optional(smooth(samples), "none"))


def test_a_call_fires_when_what_it_was_given_changes() -> None:
    spec = board.spec
    assert (spec.mode, spec.result) == ("live", None)
    first, second, last = spec.nodes
    assert (first.name, first.fire, first.bind) == (
        "smooth",
        OnChange(of=("samples",)),
        {"samples": RunInput(name="samples")},
    )
    assert second.name == "smooth_2"
    assert last.fire == OnChange(of=("smooth", "limit", "smooth_2"))
    assert last.bind == {
        "level": Ref(node="smooth"),
        "parts": ListOf(items=(RunInput(name="limit"), Value(value=2))),
        "text": Ref(node="smooth_2", default="none"),
    }


def test_what_it_means_compiles_and_optional_handles_may_be_missing() -> None:
    kinds = {work.kind.name: work.kind for work in board.nodes}
    compiled = compile_graph(board.spec, kinds)
    node = compiled.place("panel")
    assert [compiled.nodes[index].name for index in node.must_have] == ["smooth", "limit"]


def mapped(samples: list[float]) -> None:
    smooth.map(samples=stoker.each(samples))


def returning(samples: list[float]) -> Any:
    return smooth(samples)


def joined(samples: list[float]) -> None:
    smooth.options(join="all_done")(samples)


def named(smooth_: list[float]) -> None:
    smooth.options(name="smooth_")(smooth_)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (mapped, "'smooth' is mapped"),
        (returning, "a live run never ends"),
        (joined, "has when= or join="),
        (named, "has the name of an input"),
    ],
)
def test_what_cannot_be_live_is_named_with_its_line(code: Any, message: str) -> None:
    with pytest.raises(Misuse, match=message) as error:
        assert stoker.graph(mode="live")(code).spec
    assert error.value.remedy


def test_what_a_graph_returns_is_blamed_on_the_graph() -> None:
    def plain() -> Any:
        return object()

    for code, mode in ((returning, "live"), (plain, "once")):
        with pytest.raises(Misuse) as error:
            assert stoker.graph(mode=mode)(code).spec  # type: ignore[call-overload]  # both of them
        assert error.value.place == f"{__file__}:{code.__code__.co_firstlineno}"


def test_there_is_no_other_mode() -> None:
    with pytest.raises(Misuse, match="mode='often' is none"):
        stoker.graph(mode="often")(mapped)  # type: ignore[call-overload]  # the mistake


def test_a_live_graph_is_not_run_to_its_end() -> None:
    with pytest.raises(stoker.errors.Invalid, match="never end"):
        stoker.run(board, samples=[])
