"""Secrets on the command line: set from stdin, listed, deleted, rotated; keys made, and missed by the doctor."""

from __future__ import annotations

import io
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cli.conftest import Stoker
from stoker.bootstrap.embedded import Embedded
from stoker.bootstrap.keyring import Keyring, id_of
from stoker.cli import dev
from stoker.config import new_secret_key, secret_key
from stoker.core.secret_views import SecretRequest, SecretView
from stoker.runner.secret_api import SecretApi

VALUE = "correct horse battery staple"
PROGRAM = """
import stoker


@stoker.node(secrets=["TOKEN"])
def opens(task: stoker.Task) -> int:
    print(task.secrets["TOKEN"])
    return len(task.secrets["TOKEN"])


@stoker.graph
def opening():
    return opens()
"""


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Standard input holds a value."""
    said(monkeypatch, f"{VALUE}\n".encode())
    return monkeypatch


def said(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_a_secret_is_set_from_stdin_used_by_a_run_listed_and_deleted(
    stoker: Stoker, folder: Path, typed: pytest.MonkeyPatch
) -> None:
    (folder / "opening.py").write_text(PROGRAM)
    missing = stoker("run", "opening.py")
    assert missing.code == 1
    assert "stoker secrets set TOKEN" in missing.err
    answer = stoker("secrets", "set", "TOKEN")
    assert (answer.code, "'TOKEN' is set, encrypted under the key" in answer.out) == (0, True)
    done = stoker("run", "opening.py")
    assert (done.code, done.out) == (0, f"{len(VALUE)}\n")
    assert VALUE not in done.err
    listed = stoker("secrets", "list", "-o", "json")
    assert [view["name"] for view in listed.json] == ["TOKEN"]
    assert "TOKEN" in stoker("secrets", "list").out
    assert stoker("secrets", "delete", "TOKEN").code == 0
    assert "no secrets" in stoker("secrets", "list").err
    assert "has no secret 'TOKEN'" in stoker("secrets", "delete", "TOKEN").err


@pytest.mark.parametrize(
    ("content", "wrong"), [(b"", "the value is empty"), (b"\n", "the value is empty"), (b"\xff\xfe\0", "not UTF-8")]
)
def test_what_is_no_value_is_refused(
    stoker: Stoker, monkeypatch: pytest.MonkeyPatch, content: bytes, wrong: str
) -> None:
    said(monkeypatch, content)
    answer = stoker("secrets", "set", "TOKEN")
    assert answer.code == 2
    assert wrong in answer.err


def test_a_value_among_the_arguments_is_not_taken(stoker: Stoker) -> None:
    answer = stoker("secrets", "set", "TOKEN", VALUE)
    assert (answer.code, VALUE in answer.err) == (2, False)
    assert "remedy: Give it on stdin, as in `stoker secrets set NAME < FILE`" in answer.err


def test_all_but_the_last_end_of_line_belongs_to_the_value(
    stoker: Stoker, server: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = SecretApi.put, []

    async def put(self: SecretApi, name: str, body: SecretRequest) -> SecretView:
        seen.append(body.value)
        return await real(self, name, body)

    monkeypatch.setattr(SecretApi, "put", put)
    for content in (b"a\nb c\n\n", b"a\nb c\n\r\n", b" a b c "):
        said(monkeypatch, content)
        assert stoker("secrets", "set", "LINES").code == 0
    assert seen == ["a\nb c\n", "a\nb c\n", " a b c "]
    assert stoker("secrets", "delete", "LINES").code == 0


def test_a_key_is_made_for_its_owner_and_never_written_over(stoker: Stoker, folder: Path) -> None:
    assert stoker("server", "key", "--file", "keys").code == 0
    key = (folder / "keys").read_text()
    assert len(secret_key(key.strip())) == 32
    assert stat.S_IMODE((folder / "keys").stat().st_mode) == 0o600
    again = stoker("server", "key", "--file", "keys")
    assert (again.code, "there is a file" in again.err) == (1, True)
    assert (folder / "keys").read_text() == key
    printed = stoker("server", "key")
    assert len(secret_key(printed.out.strip())) == 32
    assert printed.out.strip() not in printed.err


def test_a_server_is_not_started_with_a_key_file_that_is_none(stoker: Stoker, folder: Path) -> None:
    (folder / "keys").write_text("no key\n")
    for name in ("keys", "missing"):
        answer = stoker("server", "start", "--secret-key-file", name)
        assert answer.code == 1
        assert "stoker server key --file" in answer.err
        assert "no key\n" not in answer.err


def test_secrets_are_rotated_to_the_first_key_of_the_environment(stoker: Stoker, typed: pytest.MonkeyPatch) -> None:
    old, new = new_secret_key(), new_secret_key()
    typed.setenv("STOKER_SECRET_KEY", old)
    assert id_of(secret_key(old)) in stoker("secrets", "set", "TOKEN").out
    typed.setenv("STOKER_SECRET_KEY", f"{new},{old}")
    done = stoker("secrets", "rotate")
    assert f"encrypted anew: 1; the key that writes is {id_of(secret_key(new))}" in done.out
    assert f"may forget them: {id_of(secret_key(old))}" in done.err
    typed.setenv("STOKER_SECRET_KEY", old)
    failed = stoker("secrets", "rotate")
    assert (failed.code, "default/TOKEN" in failed.err) == (1, True)


def test_a_bad_key_in_the_environment_is_refused_and_not_shown(stoker: Stoker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOKER_SECRET_KEY", "c2hvcnQ=")
    answer = stoker("secrets", "list")
    assert answer.code == 1
    assert "stoker server key" in answer.err
    assert "c2hvcnQ=" not in answer.err


def test_the_doctor_misses_a_key(stoker: Stoker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = (secret_key(new_secret_key()) for _ in range(2))
    data = tmp_path / "doctored"
    monkeypatch.setenv("STOKER_DATA", str(data))
    with Embedded(data, keys=Keyring([old])) as server, server.client() as client:
        client.secrets.set("TOKEN", VALUE)
        assert f"1 secret under {id_of(old)}" in stoker("doctor").out
    with Embedded(data, keys=Keyring([new])):
        answer = stoker("doctor")
    assert answer.code == 1
    assert f"has not got {id_of(old)} (1 secret)" in answer.out


def test_the_runner_of_dev_does_not_inherit_the_keys(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[dict[str, str]] = []
    monkeypatch.setenv("STOKER_SECRET_KEY", new_secret_key())
    monkeypatch.setenv("STOKER_SECRET_KEY_FILE", "keys")
    monkeypatch.setattr(subprocess, "Popen", lambda command, env, **_: started.append(env))
    child = dev._Child(Path("x.py"), Embedded(folder), "default")
    child._start()
    (environment,) = started
    assert not any(name.startswith("STOKER_SECRET") for name in environment)
    assert environment["STOKER_NAMESPACE"] == "default"
