"""A whole server inside of this process."""

from __future__ import annotations

from pathlib import Path

import pytest

import stoker
from stoker.bootstrap.embedded import Embedded
from stoker.errors import Conflict, Invalid


@stoker.node(requires=stoker.Requirements(labels={"zone": "a"}, resources={"gpu": 2}))
def here(x: int) -> int:
    return x + 1


@stoker.node(requires=stoker.Requirements(labels={"zone": "b"}))
def there(x: int) -> int:
    return x


@stoker.node
def written(text: str, task: stoker.Task) -> stoker.File:
    path = Path(task.scratch, "out.txt")
    path.write_text(text)
    return stoker.File(path)


@stoker.graph
def demanding(x: int):
    return here(x)


@stoker.graph
def torn(x: int):
    return there(here(x))


@stoker.graph
def writing(text: str):
    return {"file": written(text)}


def test_everything_that_a_graph_requires_is_offered_in_process() -> None:
    assert stoker.run(demanding, x=1) == 2


def test_requirements_that_no_one_runner_can_meet_are_named() -> None:
    with pytest.raises(Invalid, match="cannot be both zone=a and zone=b"):
        stoker.run(torn, x=1)


def test_a_thing_that_is_no_graph_is_refused_with_the_remedy() -> None:
    with pytest.raises(Invalid, match="Decorate it with"):
        stoker.run(here, x=1)


def test_files_of_a_result_outlive_the_server() -> None:
    assert stoker.run(writing, text="hello")["file"].read_text() == "hello"


def test_a_kept_folder_remembers_its_runs_and_belongs_to_one_process(tmp_path: Path) -> None:
    with stoker.embedded(demanding, data=tmp_path) as client:
        run = client.trigger(demanding, x=1)
        assert run.result(20) == 2
        with pytest.raises(Conflict, match="in use by the server http://127"), Embedded(tmp_path):
            pass
    with stoker.embedded(data=tmp_path) as client:
        assert client.run(run.id).result(20) == 2
        assert client.trigger("demanding", x=5).id == run.id + 1
