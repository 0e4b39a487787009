"""Files behind their port, the current task, and the signals."""

from __future__ import annotations

from pathlib import Path

import pytest

import stoker.authoring as stoker
from stoker.errors import Conflict, Invalid

from .test_nodes import Speaker


class Shelf:
    """Artifacts in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stored: list[tuple[str, str]] = []

    def fetch(self, artifact: int) -> Path:
        return self.folder / str(artifact)

    def store(self, path: Path, name: str, media_type: str) -> int:
        self.stored.append((name, media_type))
        self.fetch(len(self.stored)).write_bytes(path.read_bytes())
        return len(self.stored)


@stoker.node
def copy(file: stoker.File) -> stoker.File:
    return file


def test_a_local_file_is_read_without_a_runner(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n")
    file = stoker.File(tmp_path / "a.csv")
    assert (file.name, file.size, file.media_type, file.id) == ("a.csv", 4, "text/csv", None)
    assert file.read_bytes() == b"x,y\n"
    assert file.read_text() == "x,y\n"
    with file.open() as opened:
        assert opened.readline() == "x,y\n"
    with pytest.raises(Invalid, match="never changed"):
        file.open("w")


def test_an_artifact_is_fetched_through_the_port(tmp_path):
    (tmp_path / "5").write_text("five")
    with stoker.artifacts(Shelf(tmp_path)):
        found = copy.arguments({"file": {"$artifact": 5}}, task=None)["file"]
        assert found.read_bytes() == b"five"
        assert found.path == tmp_path / "5"


def test_an_artifact_is_called_as_the_copy_that_was_fetched(tmp_path):
    (tmp_path / "5").write_text("five")
    with stoker.artifacts(Shelf(tmp_path)):
        assert stoker.File.of(5).name == "5"
        assert stoker.File.of(6, name="six.txt").name == "six.txt"


def test_an_artifact_without_a_runner_says_what_is_missing():
    with pytest.raises(Conflict, match="no runner gives access"):
        stoker.File.of(5).path


def test_a_returned_path_is_stored(tmp_path):
    (tmp_path / "out.json").write_text("{}")
    shelf = Shelf(tmp_path)
    with stoker.artifacts(shelf):
        assert copy.dump(stoker.File(tmp_path / "out.json", name="result.json")) == [b'{"$artifact":1}']
        assert copy.dump(stoker.File.of(9)) == [b'{"$artifact":9}']
    assert shelf.stored == [("result.json", "application/json")]


def test_a_returned_path_that_does_not_exist_is_refused(tmp_path):
    with stoker.artifacts(Shelf(tmp_path)), pytest.raises(Invalid, match="no file"):
        copy.dump(stoker.File(tmp_path / "missing"))


def test_a_returned_path_without_a_runner_says_so(tmp_path):
    with pytest.raises(Conflict, match="only a local file"):
        copy.dump(stoker.File(tmp_path / "x"))


def test_what_is_not_a_file_is_refused():
    with pytest.raises(Invalid, match="inputs of 'copy'"):
        copy.arguments({"file": "data.csv"}, task=None)


async def test_files_in_inputs_are_uploaded_once_each():
    local, stored = stoker.File("a.csv"), stoker.File.of(4)
    inputs = {"one": local, "more": [local, {"deep": stored}], "n": 1}
    assert stoker.files_in(inputs) == [local]
    uploads = []

    async def upload(file: stoker.File) -> int:
        uploads.append(file)
        return 8

    assert await stoker.uploaded(inputs, upload) == {
        "one": {"$artifact": 8},
        "more": [{"$artifact": 8}, {"deep": {"$artifact": 4}}],
        "n": 1,
    }
    assert uploads == [local]


def test_the_current_task_is_the_one_that_runs():
    task = Speaker()
    with stoker.running(task):
        assert stoker.current_task() is task
    with pytest.raises(Conflict, match="no current task"):
        stoker.current_task()


def test_a_cancelled_task_can_stop_itself():
    task = Speaker()
    task.raise_if_cancelled()
    task.cancelled = True
    with pytest.raises(stoker.Cancelled):
        task.raise_if_cancelled()


def test_signals_carry_what_they_say():
    assert stoker.Requeue(after="1m").after_s == 60
    assert stoker.Requeue().after_s == 0
    assert stoker.Prune("nothing to do").reason == "nothing to do"
    assert str(stoker.NotRetryable("broken")) == "broken"
    assert issubclass(stoker.Requeue, stoker.Signal)
    with pytest.raises(ValueError, match="duration"):
        stoker.Requeue(after="soon")
