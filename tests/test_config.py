"""Settings: which source wins, and what a mistake in one says."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from stoker.config import (
    Exosphere,
    Heat,
    Settings,
    as_environment,
    data_token,
    handed_on,
    load,
    read_server_file,
    write_server_file,
)
from stoker.errors import Invalid, Unavailable


def toml(folder: Path, text: str) -> Path:
    path = folder / "stoker.toml"
    path.write_text(text)
    return path


def test_the_defaults(tmp_path: Path) -> None:
    settings = load({}, {}, folder=tmp_path)
    assert settings == Settings(data=Path("~/.stoker").expanduser())
    assert (settings.host, settings.port, settings.namespace, settings.dialects) == ("127.0.0.1", 5220, "default", ())


def test_a_flag_wins_over_the_environment_over_the_file(tmp_path: Path) -> None:
    toml(tmp_path, 'port = 1\nhost = "h1"\nnamespace = "n1"\n')
    environment = {"STOKER_PORT": "2", "STOKER_HOST": "h2"}
    settings = load({"port": 3, "host": None}, environment, folder=tmp_path)
    assert (settings.port, settings.host, settings.namespace) == (3, "h2", "n1")


KEYS = ("A" * 43 + "=", "B" * 42 + "A=")  # of secrets


def test_every_setting_has_a_variable(tmp_path: Path) -> None:
    environment = {
        "STOKER_HOST": "::1",
        "STOKER_PORT": "0",
        "STOKER_DATA": str(tmp_path),
        "STOKER_ARTIFACTS": str(tmp_path / "a"),
        "STOKER_DATABASE_URL": "postgresql:///x",
        "STOKER_TOKEN": "t",
        "STOKER_SECRET_KEY": f"{KEYS[0]}, {KEYS[1]}",
        "STOKER_SECRET_KEY_FILE": str(tmp_path / "keys"),
        "STOKER_NAMESPACE": "n",
        "STOKER_URL": "https://h/p/",
        "STOKER_PATH_PREFIX": "/p/",
        "STOKER_AUDIT_DAYS": "0",
        "STOKER_AUDIT_TRIGGERS": "True",
        "STOKER_DIALECTS": "heat, exosphere,heat",
        "STOKER_EXOSPHERE_ENQUEUE_WAIT": "0",
        "STOKER_EXOSPHERE_OVERDELIVER": "2",
        "STOKER_EXOSPHERE_ALONE_FOR": "2m",
        "STOKER_EXOSPHERE_LEASE_DEFAULT": "1h",
        "STOKER_EXOSPHERE_MAX_LOSSES": "3",
        "STOKER_EXOSPHERE_ORIGINS": "none",
        "STOKER_HEAT_NAMESPACE": "plant",
        "STOKER_HEAT_AUTH_MODE": "clusteronly",
        "STOKER_HEAT_TRUSTED_NETWORKS": "10.0.0.0/8,::1",
        "STOKER_HEAT_ORIGINS": "https://a.example",
        "STOKER_KEEP": "age=30d, count=7",
        "STOKER_METRICS": "token",
        "STOKER_LOG_FORMAT": "json",
        "STOKER_ACCESS_LOG": "true",
    }
    found = load({}, environment, folder=tmp_path)
    assert found == Settings(
        host="::1",
        port=0,
        data=tmp_path,
        artifacts=tmp_path / "a",
        database_url="postgresql:///x",
        token="t",
        secret_key=KEYS,
        secret_key_file=tmp_path / "keys",
        namespace="n",
        url="https://h/p",
        path_prefix="/p",
        keep="age=30d,count=7",
        metrics="token",
        log_format="json",
        access_log=True,
        audit_days=0,
        audit_triggers=True,
        dialects=("heat", "exosphere"),
        exosphere=Exosphere(
            enqueue_wait=0.0, overdeliver=2, alone_for=120.0, lease_default=3600.0, max_losses=3, origins=()
        ),
        heat=Heat(
            namespace="plant",
            auth_mode="ClusterOnly",
            trusted_networks=("10.0.0.0/8", "::1"),
            origins=("https://a.example",),
        ),
    )
    assert handed_on(as_environment(found)) == found


def test_the_folders_of_a_file_are_relative_to_the_file(tmp_path: Path) -> None:
    assert load({}, {}, config=toml(tmp_path, 'artifacts = "a"')).artifacts == tmp_path / "a"
    assert load({}, {}, config=toml(tmp_path, 'data = "d"')).data == tmp_path / "d"
    assert load({}, {}, config=toml(tmp_path, 'data = "~/d"')).data == Path("~/d").expanduser()
    assert load({"data": "d"}, {}, folder=tmp_path).data == Path.cwd() / "d"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///x?host=/run",
        "postgresql://h1:1,h2:2/x",
        "postgres://u:p%40ss@h:5432/x?pgbouncer=true&sslmode=require",
    ],
)
def test_a_postgresql_url_is_taken_as_it_is(tmp_path: Path, url: str) -> None:
    assert load({"database_url": url}, {}, folder=tmp_path).database_url == url


@pytest.mark.parametrize(
    "url",
    [
        "user:hush@h/d",
        "hush",
        "postgresql:hush",
        "mysql://user:hush@h/d",
        "postgresql://user:4/hush@h/d",
        "postgresql://user:hu/sh@h/d",
        "postgresql://user:4#hush@h/d",
        "postgresql://user:4?hush@h/d",
        "postgresql://user:4@hush@h/d",
        "postgresql://user:hush@[h/d",
        "postgresql://user:hush @h/d",
        "sqlite://hush",
    ],
)
def test_a_refused_database_url_is_not_shown_since_it_may_hold_a_password(tmp_path: Path, url: str) -> None:
    with pytest.raises(Invalid) as caught:
        load({}, {"STOKER_DATABASE_URL": url}, folder=tmp_path)
    assert (caught.value.place, bool(caught.value.remedy)) == ("STOKER_DATABASE_URL", True)
    assert not any(part in str(caught.value) for part in ("hu", "sh@"))
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("flags", "environment", "file", "source", "said"),
    [
        ({}, {}, "prot = 1", "stoker.toml", "'prot', which is no setting"),
        ({}, {}, "port =", "stoker.toml", "cannot be read"),
        ({}, {}, 'port = "x"', "stoker.toml", "port: 'x' is no port"),
        ({}, {}, "port = true", "stoker.toml", "no port"),
        ({}, {}, "host = 5", "stoker.toml", "host: 5 is no text"),
        ({}, {"STOKER_PORT": "65536"}, "", "STOKER_PORT", "65535"),
        ({}, {"STOKER_URL": "ftp://x"}, "", "STOKER_URL", "is no URL"),
        ({"port": -1}, {}, "", "--port", "no port"),
        ({"path_prefix": "x"}, {}, "", "--path-prefix", "Give one like /stoker"),
        ({"dialects": "spheres"}, {}, "", "--dialects", "there is no dialect 'spheres'"),
        ({"heat.auth_mode": "open"}, {}, "", "--heat-auth", "heat.auth_mode: 'open' is no mode"),
        ({"host": "0.0.0.0", "heat.auth_mode": "local"}, {}, "", "--heat-auth", "'0.0.0.0' is no loopback address"),
        ({}, {"STOKER_EXOSPHERE_ENQUEUE_WAIT": "3h"}, "", "STOKER_EXOSPHERE_ENQUEUE_WAIT", "from 0s to 120s"),
        ({}, {"STOKER_EXOSPHERE_OVERDELIVER": "0"}, "", "STOKER_EXOSPHERE_OVERDELIVER", "Give one from 1 to 1000"),
        ({}, {"STOKER_HEAT_TRUSTED_NETWORKS": "here"}, "", "STOKER_HEAT_TRUSTED_NETWORKS", "'here' is no network"),
        ({}, {}, '[heat]\norigins = ["x"]', "stoker.toml", "'x' is no origin"),
        ({}, {}, "[heat]\norigin = 1", "stoker.toml", "'heat.origin', which is no setting"),
        ({}, {}, "heat = 1", "stoker.toml", "'heat', which is no setting"),
        ({"colour": 1}, {}, "", "--colour", "is no setting"),
        (
            {},
            {"STOKER_DATABASE_URL": "mysql://h/d"},
            "",
            "STOKER_DATABASE_URL",
            "'mysql' is no address of a PostgreSQL",
        ),
        ({}, {}, 'database_url = "sqlite:///x.db"', "stoker.toml", "always lies in the data folder"),
        ({"database_url": "postgresql://h/d?pgbouncer=1"}, {}, "", "--database-url", "neither true nor false"),
    ],
)
def test_a_mistake_names_key_source_and_remedy(
    tmp_path: Path, flags: Any, environment: Any, file: str, source: str, said: str
) -> None:
    toml(tmp_path, file)
    with pytest.raises(Invalid) as caught:
        load(flags, environment, folder=tmp_path)
    assert caught.value.place.endswith(source)
    assert said in str(caught.value)
    assert caught.value.remedy


def test_a_named_dialect_that_does_not_exist_is_answered_with_those_that_do(tmp_path: Path) -> None:
    with pytest.raises(Invalid) as caught:
        load({"dialects": ("exosphere", "spheres")}, {}, folder=tmp_path)
    assert caught.value.remedy == "Dialects that exist: exosphere, heat."


def test_a_dialect_has_a_section_of_its_own(tmp_path: Path) -> None:
    toml(tmp_path, '[heat]\nauth_mode = "Strict"\norigins = ["https://a", "https://b:1"]\n')
    found = load({"heat.auth_mode": "Local"}, {"STOKER_HEAT_NAMESPACE": "n"}, folder=tmp_path)
    assert found.heat == Heat(namespace="n", auth_mode="Local", origins=("https://a", "https://b:1"))


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="there is no file"):
        load({}, {}, config=tmp_path / "other.toml")


def test_the_token_of_a_data_folder_is_made_once_and_for_its_owner(tmp_path: Path) -> None:
    data = tmp_path / "data"
    token = data_token(data)
    assert len(token) > 40
    assert data_token(data) == token
    assert (data / "token").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in data.iterdir()] == ["token"]


def test_two_who_make_the_token_at_once_get_the_same(tmp_path: Path) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(data_token(tmp_path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1


def test_an_empty_token_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("\n")
    with pytest.raises(Invalid, match="is empty"):
        data_token(tmp_path)


def test_a_data_folder_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(Unavailable) as caught:
        data_token(tmp_path / "data")
    assert "--data" in caught.value.remedy


def test_a_live_server_is_found_through_its_file(tmp_path: Path) -> None:
    assert read_server_file(tmp_path) is None
    write_server_file(tmp_path, "http://127.0.0.1:1", os.getpid())
    found = read_server_file(tmp_path)
    assert found is not None
    assert (found.url, found.pid) == ("http://127.0.0.1:1", os.getpid())


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"url": "u", "pid": "x"}', '{"url": "u", "pid": 4194304000}', '{"url": "u", "pid": 0}'],
)
def test_a_file_of_no_live_server_is_no_server(tmp_path: Path, content: str) -> None:
    (tmp_path / "server.json").write_text(content)
    assert read_server_file(tmp_path) is None


def test_what_is_kept_is_a_table_in_the_file(tmp_path: Path) -> None:
    toml(tmp_path, '[keep]\nage = "30d"\ncount = 1000\n')
    settings = load({}, {}, folder=tmp_path)
    assert settings.keep == "age=30d,count=1000"
    assert load({}, as_environment(settings), folder=tmp_path / "elsewhere").keep == settings.keep


def test_what_says_nothing_about_what_to_keep_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="says nothing about what to keep"):
        load({"keep": "30d"}, {}, folder=tmp_path)
