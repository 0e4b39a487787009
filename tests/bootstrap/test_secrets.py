"""Secrets through a whole installation: what its disk holds in the end, and whose key it is."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

import pytest

import stoker
from stoker.bootstrap import keyring
from stoker.bootstrap.keyring import FILE, Keyring, id_of
from stoker.config import Settings, new_secret_key, secret_key
from stoker.engine.ports import Sealed, Shut
from stoker.errors import Conflict, Invalid

TOKEN = "correct horse/battery staple"
TRACES = [TOKEN, base64.b64encode(TOKEN.encode()).decode()[:20], "horse/battery", "horse%2Fbattery"]


@stoker.node(secrets=["TOKEN"], retry=stoker.Retry(2, base="1ms"))
def leaks(task: stoker.Task) -> dict[str, str]:
    token = task.secrets["TOKEN"]
    print("printed", token)
    task.log(base64.b64encode(token.encode()).decode())
    task.progress(0.5, f"with {token}")
    if task.attempt == 1:
        raise ValueError(f"refused: {token}")
    return {"url": f"https://me:{token}@example.org", "large": "x" * 1_500_000 + token}


@stoker.node(secrets=["TOKEN"], isolation=True, tolerated=True)
def breaks(before: dict[str, str], task: stoker.Task) -> None:
    print(task.secrets["TOKEN"], before["url"])
    raise RuntimeError(task.secrets["TOKEN"])


@stoker.node
def plain(before: dict[str, str], task: stoker.Task) -> list[str]:
    return [before["url"], *task.secrets]


@stoker.graph
def leaky() -> list[str]:
    before = leaks()
    breaks(before)
    return plain(before)


def test_after_a_run_with_failures_no_file_no_log_and_no_view_holds_a_value(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with stoker.embedded(leaky, data=data) as client:
        assert "'TOKEN', which is not set" in " ".join(client.push(leaky).warnings)
        client.secrets.set("TOKEN", TOKEN)
        assert client.push(leaky).warnings == []
        run = client.trigger(leaky)
        assert run.result(timeout=60) == ["https://me:***@example.org"]
        api = client.api
        shown = [client.call(api.run(run.id)), client.call(api.run_logs(run.id)), client.call(api.explain_run(run.id))]
        for task in client.call(api.tasks(run.id)).items:
            shown += [client.call(api.attempts(task.id)), client.call(api.explain_task(task.id))]
        assert "refused: ***" in str(shown)
        assert "RuntimeError: ***" in str(shown)
        assert "an output held a secret" in str(shown)
        assert not any(trace in str(shown) for trace in TRACES)
        assert _found(data) == []  # the log of the database among it
    assert _found(data) == []


def _found(folder: Path) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert any(path.suffix == ".db" for path in files)
    return [path.name for path in files if any(trace.encode() in path.read_bytes() for trace in TRACES)]


def test_the_client_sets_lists_rotates_and_deletes() -> None:
    with stoker.embedded() as client:
        assert client.secrets.set("TOKEN", TOKEN).created
        assert [view.name for view in client.secrets.list()] == ["TOKEN"]
        done = client.secrets.rotate()
        assert (done.rotated, done.left, done.after) == (0, [], None)
        client.secrets.delete("TOKEN")
        assert client.secrets.list() == []


# --- keys ---


def test_a_key_is_made_beside_the_database_with_the_first_secret_for_its_owner_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with stoker.embedded(data=data) as client:
        assert not (data / FILE).exists()
        client.secrets.set("TOKEN", TOKEN)
        assert stat.S_IMODE((data / FILE).stat().st_mode) == 0o600
    key = (data / FILE).read_text()
    with stoker.embedded(data=data) as client:
        client.secrets.set("SECOND", TOKEN)
    assert (data / FILE).read_text() == key


def test_a_key_that_is_lost_is_not_replaced_by_another(tmp_path: Path) -> None:
    with stoker.embedded(data=tmp_path) as client:
        client.secrets.set("TOKEN", TOKEN)
    (tmp_path / FILE).unlink()
    with stoker.embedded(data=tmp_path) as client, pytest.raises(Conflict, match="has not got the key"):
        client.secrets.set("SECOND", TOKEN)
    assert not (tmp_path / FILE).exists()


def settings(tmp_path: Path, **more: object) -> Settings:
    return Settings(data=tmp_path, **more)  # type: ignore[arg-type]  # as the test names them


@pytest.fixture
def keys() -> list[str]:
    return [new_secret_key() for _ in range(3)]


def ids(*texts: str) -> tuple[str, ...]:
    return tuple(id_of(secret_key(text)) for text in texts)


def test_keys_of_the_environment_come_before_those_of_the_file(tmp_path: Path, keys: list[str]) -> None:
    path = tmp_path / "keys"
    path.write_text(f"# the newest first\n{keys[1]}\n\n{keys[2]}\n")
    ring = keyring.of(settings(tmp_path, secret_key=(keys[0],), secret_key_file=path))
    assert ring.ids == ids(*keys)
    (tmp_path / FILE).write_text(keys[2])
    assert keyring.of(settings(tmp_path, secret_key=(keys[0],))).ids == ids(keys[0], keys[2])
    assert keyring.of(settings(tmp_path, secret_key_file=path)).ids == ids(keys[1], keys[2])


@pytest.mark.parametrize("content", [None, "", "# nothing\n", "no key", "c2hvcnQ="])
def test_a_key_file_that_is_none_is_refused_without_showing_what_is_in_it(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "keys"
    if content is not None:
        path.write_text(content)
    with pytest.raises(Invalid, match="stoker server key --file") as caught:
        keyring.of(settings(tmp_path, secret_key_file=path))
    assert "c2hvcnQ=" not in str(caught.value)


def test_no_key_is_made_for_a_database_that_others_may_share(tmp_path: Path) -> None:
    ring = keyring.of(settings(tmp_path, database_url="postgresql://db/work"), make=True)
    with pytest.raises(Conflict, match="no key to encrypt under"):
        ring.seal(b"value", b"")
    assert os.listdir(tmp_path) == []


def test_the_first_key_writes_and_every_key_reads(keys: list[str]) -> None:
    old, new_ = secret_key(keys[0]), secret_key(keys[1])
    sealed = Keyring([old]).seal(b"value", b"there")
    ring = Keyring([new_, old])
    assert ring.open(sealed, b"there") == b"value"
    assert ring.seal(b"value", b"there").key == id_of(new_)
    with pytest.raises(Shut, match=id_of(old)):
        Keyring([new_]).open(sealed, b"there")


def test_what_was_changed_moved_or_cut_does_not_open(keys: list[str]) -> None:
    ring = Keyring([secret_key(keys[0])])
    sealed = ring.seal(b"value", b"there")
    assert ring.seal(b"value", b"there").body != sealed.body
    for body in (sealed.body[:-1] + bytes([sealed.body[-1] ^ 1]), sealed.body[:9], b"", b"\2" + sealed.body[1:]):
        with pytest.raises(Shut):
            ring.open(Sealed(sealed.key, body), b"there")
    with pytest.raises(Shut, match="another name"):
        ring.open(sealed, b"elsewhere")
