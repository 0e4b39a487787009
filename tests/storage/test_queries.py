"""What statements look like when a driver is given them."""

from __future__ import annotations

import re

from stoker.storage import queries


def test_a_shortened_statement_says_what_was_written() -> None:
    """White space is taken out without looking for literals, so none may hold any."""
    short = queries.sqlite()
    for name, sql in queries.written("sqlite").items():
        literals = re.findall("'[^']*'", sql)
        assert literals == re.findall("'[^']*'", short[name])
        assert not any(re.search(r"\s", literal) for literal in literals)


def test_a_hot_statement_has_no_character_to_spare() -> None:
    hot = [queries.sqlite()[name] for name in ("insert_run", "insert_task", "update_task", "insert_item", "update_run")]
    assert not any(re.search(r"\s\s|, |:\w", sql) for sql in hot)


def test_a_parameter_that_is_named_twice_is_bound_once() -> None:
    assert queries.sqlite()["admitted"].count("?3") == 3
