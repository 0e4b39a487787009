"""What a runner hides: every usual form of a secret, wherever the text is cut."""

from __future__ import annotations

import base64
import json
import re
import urllib.parse
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoker.runner.redact import MARK, Redactor

VALUE = 'pa:ss wörd/x"y\\z\t1'
FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64 for URLs": lambda value: base64.urlsafe_b64encode(value.encode()).decode(),
    "base64 without padding": lambda value: base64.b64encode(value.encode()).decode().rstrip("="),
    "hex": lambda value: value.encode().hex(),
    "JSON": json.dumps,
    "JSON with letters": lambda value: json.dumps(value, ensure_ascii=False),
    "JSON in JSON": lambda value: json.dumps(json.dumps({"key": value})),
    "a slash escaped": lambda value: json.dumps(value).replace("/", "\\/"),
    "URL": urllib.parse.quote,
    "URL, all of it": lambda value: urllib.parse.quote(value, safe=""),
    "URL, small letters": lambda value: re.sub("%..", lambda code: code[0].lower(), urllib.parse.quote(value, safe="")),
    "form": urllib.parse.quote_plus,
    "repr": repr,
    "repr of bytes": lambda value: repr(value.encode()),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_usual_form_is_hidden(form: str) -> None:
    said = FORMS[form](VALUE)
    shown = Redactor([VALUE]).text(f"before {said} after")
    assert shown.startswith("before ")
    assert shown.endswith(" after")
    assert MARK in shown
    assert said not in shown
    assert len(shown) <= len("before  after") + len(MARK) + 20  # quotes, padding, and the key of the object


@pytest.mark.parametrize("before", ["", "u", "us", "user:"])
@pytest.mark.parametrize("after", ["", "!", "!?", "!?."])
def test_it_is_hidden_in_the_middle_of_something_that_is_base64(before: str, after: str) -> None:
    coded = base64.b64encode((before + VALUE + after).encode()).decode()
    shown = Redactor([VALUE]).text(coded)
    assert MARK in shown
    rest = shown.replace(MARK, "")
    assert len(rest) <= len(base64.b64encode((before + after).encode())) + 4


def test_a_line_of_a_value_is_hidden_by_itself() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\nshort\n-----END KEY-----\n"
    shown = Redactor([key]).text("line 2: MIIEvQIBADANBgkqhkiG9w0BAQ and short")
    assert shown == "line 2: *** and short"


def test_values_that_overlap_leave_nothing() -> None:
    assert Redactor(["abcd", "bcdefgh", "ghij"]).text("<abcdefghij>") == "<***>"
    assert Redactor(["abab"]).text("<ababab>") == "<***>"


def test_what_is_no_secret_stays() -> None:
    redactor = Redactor([VALUE])
    text = "nothing of it here, not even pa:ss wör"
    assert redactor.text(text) == text
    assert redactor.document(b'{"a": 1}') == b'{"a": 1}'


def test_a_document_stays_json_and_keeps_its_form() -> None:
    redactor = Redactor(["1234", "true"])
    document = msgspec.json.encode({"pin": 1234, "more": 91234, "text": "is 1234", "1234": [True, "true", None, 1.5]})
    assert msgspec.json.decode(redactor.document(document)) == {
        "pin": "***",
        "more": 91234,
        "text": "is ***",
        "***": [True, "***", None, 1.5],
    }


def test_a_document_is_read_before_it_is_searched() -> None:
    document = b'{"told":["\\u0063orrect\\u0020horse"]}'
    assert Redactor(["correct horse"]).document(document) == b'{"told":["***"]}'


def pieces(redactor: Redactor, parts: list[str]) -> list[str]:
    shown = [redactor.piece("log", part, last=False) for part in parts]
    return [*shown, redactor.piece("log", "", last=True)]


def test_a_stream_is_hidden_wherever_it_is_cut() -> None:
    said = f"one {VALUE} two"
    for at in range(len(said)):
        assert "".join(pieces(Redactor([VALUE]), [said[:at], said[at:]])) == "one *** two"
    assert "".join(pieces(Redactor([VALUE]), list(said))) == "one *** two"


def test_streams_are_apart() -> None:
    redactor = Redactor(["secret"])
    assert redactor.piece("stdout", "a sec", last=False) == "a "
    assert redactor.piece("stderr", "ret", last=False) == "ret"
    assert redactor.piece("stdout", "ond", last=True) == "second"


def test_a_stream_that_ends_inside_of_a_value_does_not_show_the_beginning() -> None:
    assert "".join(pieces(Redactor(["correct horse"]), ["it is correct h"])) == "it is ***"
    assert "".join(pieces(Redactor(["correct horse"]), ["it is cor"])) == "it is cor"  # less than 4 letters say nothing
    assert "".join(pieces(Redactor(["correct horse", "hors"]), ["it is correct hors"])) == "it is ***"


def test_what_is_held_back_is_bounded() -> None:
    redactor = Redactor(["aaaa"])
    for _ in range(10):
        redactor.piece("log", "a" * 100, last=False)
        assert len(redactor.held.get("log", "")) <= 200


@given(
    st.lists(st.text("ab", min_size=4, max_size=8), min_size=1, max_size=3),
    st.lists(st.text("abc", max_size=6), max_size=8),
)
def test_no_cut_of_a_stream_shows_more_than_the_whole_would(values: list[str], parts: list[str]) -> None:
    shown = "".join(pieces(Redactor(values), parts))
    assert not any(value in shown for value in values)
    assert len(shown.replace(MARK, "")) <= len(Redactor(values).text("".join(parts)).replace(MARK, ""))
