"""The grammar of filters: what it takes, what it says of what it does not take, and the way back to text."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoker.core.duration import SECOND
from stoker.core.filter import OPERATORS, Moment, Narrowed, Sort, Term, parse, render
from stoker.core.run_filter import FIELDS, RunWanted, TagPair, run_terms
from stoker.core.states import RunState, Stopping
from stoker.core.task_filter import FIELDS as TASK_FIELDS
from stoker.errors import Invalid

NOW = 1_800_000_000 * SECOND
DAY = 86_400 * SECOND


def wanted(text: str) -> RunWanted:
    return RunWanted(run_terms(text), NOW)


def test_every_field_of_the_examples_is_understood() -> None:
    text = (
        "state=FAILED,CANCELLED graph=nightly version>=3 tag.team=blue created>2d created<2026-11-01T00:00Z "
        "priority>=7 id=12,13 key=abc stopping=yes"
    )
    terms = run_terms(text)
    assert [term.field for term in terms] == [
        *("state", "graph", "version", "tag.team", "created", "created", "priority", "id", "key", "stopping")
    ]
    assert terms[0] == Term("state", "=", ("FAILED", "CANCELLED"))
    assert terms[4].values == (Moment("2d", 2 * DAY, ago=True),)
    assert terms[7].values == (12, 13)
    assert render(terms) == text


@pytest.mark.parametrize("text", ["", "   ", "\t\n"])
def test_an_empty_filter_has_no_terms(text: str) -> None:
    assert run_terms(text) == ()


def test_words_are_taken_in_any_case_and_texts_as_they_are() -> None:
    assert run_terms("state=failed stopping=YES graph=Nightly") == (
        Term("state", "=", ("FAILED",)),
        Term("stopping", "=", ("yes",)),
        Term("graph", "=", ("Nightly",)),
    )


def test_quotes_hold_what_a_word_cannot() -> None:
    (graph, tag) = run_terms(r'graph="a, \"b\" \\ c",d tag."my team"!="x y"')
    assert graph.values == ('a, "b" \\ c', "d")
    assert tag == Term("tag.my team", "!=", ("x y",))
    assert render([graph, tag]) == r'graph="a, \"b\" \\ c",d tag."my team"!="x y"'


@pytest.mark.parametrize(
    ("text", "at", "says"),
    [
        ("stat=FAILED", 1, "there is no field 'stat'; did you mean state?"),
        ("graph=a xyzzy=1", 9, "there is no field 'xyzzy'."),
        ("=FAILED", 1, "a field is expected, not '='"),
        ("graph=a state", 14, "an operator is expected behind 'state': = !="),
        ("graph>a", 6, "'graph' is compared by = or !=, not by >"),
        ("created=2d", 8, "'created' is compared by < or <= or > or >=, not by ="),
        ("state=", 7, "one of RUNNING, SUCCEEDED, FAILED, CANCELLED is expected as a value of 'state'"),
        ("state=FAILED,", 14, "is expected as a value of 'state'"),
        ("state=FAILED,LOST", 14, "not 'LOST'"),
        ("version>=x", 10, "a whole number is expected as a value of 'version', not 'x'"),
        ("version>=1_0", 10, "not '1_0'"),
        ("id>1,2", 3, "> compares with one value, not with 2"),
        ("created>yesterday", 9, "a duration such as 2d or 1h30m"),
        ("created>2026-13-01", 9, "not '2026-13-01'"),
        ('graph="a', 7, "expected to end with one"),
        ('graph="a\\n"', 7, "to stand before"),
        ('graph="a"state=FAILED', 10, "a space is expected between terms, not 's'"),
        ("tag.=x", 5, "the name of a tag is expected"),
        ("tag=x", 1, "there is no field 'tag'; did you mean tag.NAME?"),
        ("FAILED", 1, "there is no field 'FAILED'; write state=FAILED."),
        ("stopping=maybe", 10, "one of no, yes is expected"),
        ("graph=" + "x" * 20_000, 16_385, "at most 16384 characters"),
    ],
)
def test_what_is_not_understood_is_said_with_its_place_and_the_fields(text: str, at: int, says: str) -> None:
    with pytest.raises(Invalid) as caught:
        run_terms(text)
    assert (caught.value.code, caught.value.place) == ("bad_filter", f"filter, character {at}")
    assert says in caught.value.message
    assert "tag.NAME" in caught.value.remedy
    assert "priority" in caught.value.remedy


def test_the_example_of_each_remedy_is_a_filter() -> None:
    for fields in (FIELDS, TASK_FIELDS):
        with pytest.raises(Invalid) as caught:
            parse("!", fields)
        example = caught.value.remedy.partition("`")[2].partition("`")[0]
        assert parse(example, fields)


def texts() -> st.SearchStrategy[str]:
    return st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), min_size=1, max_size=8)


@st.composite
def terms(draw: st.DrawFn) -> Term:
    name = draw(st.sampled_from(sorted(FIELDS)))
    field = FIELDS[name]
    if name == "tag.":
        name += draw(texts())
    operator = draw(st.sampled_from(OPERATORS[field.sort]))
    match field.sort:
        case Sort.WORD:
            values: st.SearchStrategy[object] = st.sampled_from(field.words)
        case Sort.TEXT:
            values = texts()
        case Sort.NUMBER | Sort.RUN | Sort.OWNER:
            values = st.integers(-(10**17), 10**17)
        case _:
            values = st.sampled_from(
                [Moment("90s", 90 * SECOND, ago=True), Moment("1970-01-02", DAY, ago=False)]  # as they are read
            )
    many = draw(st.lists(values, min_size=1, max_size=3 if operator in ("=", "!=") else 1))
    return Term(name, operator, tuple(many))  # type: ignore[arg-type]


@given(st.lists(terms(), max_size=5).map(tuple))
def test_a_filter_comes_back_from_its_text(given: tuple[Term, ...]) -> None:
    assert run_terms(render(given)) == given


@given(st.text(max_size=40))
def test_any_text_is_a_filter_or_refused_in_words(text: str) -> None:
    with suppress(Invalid):
        assert run_terms(render(run_terms(text))) == run_terms(text)


def test_a_time_without_a_zone_is_utc() -> None:
    (plain, zoned) = run_terms("created>1970-01-02 ended<=1970-01-02T01:00+01:00")
    assert [moment.at(NOW) for moment in (*plain.values, *zoned.values) if isinstance(moment, Moment)] == [DAY, DAY]


def test_terms_about_one_field_narrow_each_other() -> None:
    by = Narrowed(run_terms("id=1,2,3 id!=2 id<3 created>2d created<=1d"), NOW)
    assert [number for number in range(5) if by["id"].lets(number)] == [1]
    assert (by["created"].low, by["created"].high) == (NOW - 2 * DAY + 1, NOW - DAY)
    assert by["graph"].free
    assert not by["id"].free


def test_small_sets_are_spelled_out() -> None:
    found = wanted("state!=SUCCEEDED state!=RUNNING priority>=7 priority!=8 stopping!=yes")
    assert found.states == [RunState.FAILED, RunState.CANCELLED]
    assert found.priorities == [7, 9]
    assert found.stopping == [Stopping.NO]


def test_tags_are_wanted_by_the_value_and_not() -> None:
    found = wanted("tag.a=1,2,3 tag.a!=3 tag.b=x tag.c!=y,z")
    assert found.tags == [[TagPair("b", "x")], [TagPair("a", "1"), TagPair("a", "2")]]
    assert found.not_tags == [TagPair("c", "y"), TagPair("c", "z")]


@pytest.mark.parametrize(
    "text", ["state=FAILED state=RUNNING", "priority>9", "tag.a=1 tag.a=2", "created>1d created<2d", "id>3 id<3"]
)
def test_what_contradicts_itself_asks_for_nothing(text: str) -> None:
    assert wanted(text).nothing
    assert not wanted("state=FAILED priority>3").nothing
