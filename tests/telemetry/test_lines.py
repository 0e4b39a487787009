"""Lines of the log, for people and for what collects them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from stoker.telemetry import lines


@pytest.fixture
def named() -> Iterator[logging.Logger]:
    """A logger of our own, as before afterwards."""
    logger = logging.getLogger("stoker.of_this_test")
    yield logger
    logger.handlers, logger.propagate = [], True
    logger.setLevel(logging.NOTSET)


def test_json_has_an_object_a_line_with_what_the_record_carries(
    named: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    lines.configure("json", named.name)
    named.info("task %d failed: %s", 7, "no\n disk", extra={"task": 7, "run": 3, "attempt": 2})
    named.debug("not this")
    (line,) = capsys.readouterr().err.splitlines()
    found = json.loads(line)
    assert found.pop("at").endswith("Z")
    assert found == {
        "level": "info",
        "logger": named.name,
        "message": "task 7 failed: no\n disk",
        "task": 7,
        "run": 3,
        "attempt": 2,
    }


def test_json_keeps_an_error_with_its_traceback_in_one_line(
    named: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    lines.configure("json", named.name)
    try:
        raise ValueError("odd")
    except ValueError:
        named.exception("that failed")
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["error"].endswith("ValueError: odd")


def test_text_is_for_people(named: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    lines.configure("text", named.name)
    named.warning("mind the %s", "gap", extra={"task": 7})
    line = capsys.readouterr().err
    stamp, rest = line[:24], line[24:]
    assert (stamp[10], stamp[19], stamp[23]) == ("T", ".", "Z")
    assert rest == f" WARNING {named.name}: mind the gap\n"


def test_a_time_is_told_to_the_microsecond() -> None:
    assert json.loads(lines.line(0.25, "INFO", "x", "y", {}))["at"] == "1970-01-01T00:00:00.250000Z"
