from __future__ import annotations

import pytest

from stoker.api.dialects.exosphere.placeholders import BadPlaceholder, Key, Output, parts


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ("",)),
        ("plain", ("plain",)),
        ("${{ a.outputs.b }}", (Output("a", "b"),)),
        ("${{a.outputs.b}}", (Output("a", "b"),)),
        ("${{ store.k }}", (Key("k"),)),
        ("<${{ a . outputs . b }}|${{store.k}}>", ("<", Output("a", "b"), "|", Key("k"), ">")),
        ("a }} b {{ c }} $", ("a }} b {{ c }} $",)),
        ("${{ a.outputs.b }} }}", (Output("a", "b"), " }}")),
    ],
)
def test_a_text_is_read_in_its_parts(text: str, found: tuple[object, ...]) -> None:
    assert parts(text) == found


@pytest.mark.parametrize(
    "inner",
    ["", " ", "a", "a.b", "store", "store.", "store.a.b", "a.outputs", "a.outputs.", ".outputs.b", "a.output.b"],
)
def test_what_names_nothing_is_refused_as_it_was_written(inner: str) -> None:
    text = "x ${{" + inner + "}} y"
    with pytest.raises(BadPlaceholder) as refused:
        parts(text)
    assert str(refused.value) == f"Invalid syntax string placeholder {inner} for: {text}"


def test_one_that_does_not_end_is_told_as_such() -> None:
    with pytest.raises(BadPlaceholder) as refused:
        parts("price ${{ 5")
    assert str(refused.value) == "Invalid syntax string placeholder  5 for: price ${{ 5 '${' not closed"
