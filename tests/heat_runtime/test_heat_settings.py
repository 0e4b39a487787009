"""Which setting wins, and which mode follows."""

from __future__ import annotations

from typing import Any

import pytest

from heat_runtime.mode import Mode, mode_of
from heat_runtime.serving import grace
from heat_runtime.settings import Settings, merged, seconds

URL = "http://127.0.0.1:5220"


def test_keywords_win_over_the_command_line_and_that_over_the_environment() -> None:
    environ = {"HEAT_RUNNER_TAG": "environ", "STOKER_URL": "environ", "STOKER_NAMESPACE": "environ"}
    found = merged({"runner_tag": "keyword"}, ["--runner-tag", "line", "--stoker-url=line"], environ)
    assert (found.runner_tag, found.stoker_url, found.stoker_namespace) == ("keyword", "line", "environ")
    assert found.shutdown_grace == "25s"


def test_empty_variables_are_none() -> None:
    assert merged({}, [], {"CORE_API_URL": "", "STOKER_URL": "", "KUBERNETES_SERVICE_HOST": ""}) == Settings()


def test_options_of_the_program_itself_are_left_alone() -> None:
    argv = ["run", "--in", "x", "--verbose", "-i", "--input", "a=b", "--conf", "c", "--", "--node"]
    assert merged({}, argv, {}) == Settings(inputs=("a=b",))


def test_options_without_their_value_do_not_end_the_program() -> None:
    assert merged({}, ["--input", "--config"], {}) == Settings(inputs=("",), config="")


@pytest.mark.parametrize(("text", "is_local"), [("1", True), ("true", True), ("0", False), ("no", False), ("", False)])
def test_heat_local_is_yes_or_no(text: str, is_local: bool) -> None:
    assert merged({}, [], {"HEAT_LOCAL": text}).local is is_local
    assert merged({"local": True}, [], {"HEAT_LOCAL": text}).local


def test_heat_local_that_is_neither_is_refused() -> None:
    with pytest.raises(ValueError, match="HEAT_LOCAL='maybe' is neither yes nor no"):
        merged({}, [], {"HEAT_LOCAL": "maybe"})


@pytest.mark.parametrize(
    ("environ", "mode"),
    [
        ({}, Mode.LOCAL),
        ({"HEAT_LOCAL": "1", "CORE_API_URL": URL, "STOKER_URL": URL}, Mode.LOCAL),
        ({"STOKER_URL": URL}, Mode.STOKER),
        ({"STOKER_URL": URL, "KUBERNETES_SERVICE_HOST": "127.0.0.1"}, Mode.STOKER),
        ({"HEAT_RUNNER_TAG": "mine", "HEAT_POLL_INTERVAL": "1"}, Mode.LOCAL),
    ],
)
def test_the_environment_chooses_the_mode(environ: dict[str, str], mode: Mode) -> None:
    assert mode_of(merged({}, [], environ)) is mode


@pytest.mark.parametrize(
    ("keywords", "argv", "environ"),
    [
        ({}, [], {"CORE_API_URL": URL, "RunnerName": "sum"}),
        ({}, [], {"HEAT_SESSION_TOKEN": "secret", "STOKER_URL": URL}),
        ({}, [], {"KUBERNETES_SERVICE_HOST": "127.0.0.1"}),
        ({"core_api_url": URL}, [], {}),
        ({}, ["--core-api-url", URL], {}),
        ({"node": 0}, [], {}),
        ({}, ["--node", "7"], {"HEAT_LOCAL": "1"}),
    ],
)
def test_what_asks_for_a_server_of_heat(keywords: dict[str, Any], argv: list[str], environ: dict[str, str]) -> None:
    assert mode_of(merged(keywords, argv, environ)) is Mode.HEAT


def test_a_server_of_heat_has_an_address_a_token_and_an_interval() -> None:
    found = merged({"poll_interval": 0.5}, [], {"HEAT_SESSION_TOKEN": "a", "RuntimeSessionToken": "b"})
    assert (found.core_api_url, found.session_token, found.poll_interval) == ("http://localhost:5220", "a", 0.5)
    assert (seconds("25s"), seconds("2"), seconds(0.5)) == (25.0, 2.0, 0.5)


@pytest.mark.parametrize(("given", "taken"), [("25", 25.0), (0.5, 0.5), ("1m", "1m")])
def test_the_grace_is_seconds_or_a_duration(given: str | float, taken: str | float) -> None:
    assert grace(given) == taken
