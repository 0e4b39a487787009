"""Tasks retried by hand from the command line, joins that run again below them, and a run without a result."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.conftest import Stoker
from stoker.bootstrap.embedded import Embedded

PAGES = """
from pathlib import Path

import stoker


@stoker.node(tolerated=True)
def fetch(page: int) -> int:
    if page == 1 and not Path(r"{mended}").exists():
        raise OSError(f"page {page} is away")
    return page


@stoker.node
def total(numbers: list[int]) -> int:
    return sum(numbers)


@stoker.graph
def crawl(pages: list[int]):
    return total(fetch.map(page=stoker.each(pages)))


@stoker.graph
def one(page: int):
    return fetch(page)
"""


@pytest.fixture
def program(folder: Path) -> Path:
    path = folder / "pages.py"
    path.write_text(PAGES.replace("{mended}", str(folder / "mended")))
    return path


def test_a_task_is_retried_and_what_fired_without_it_runs_again(
    stoker: Stoker, program: Path, server: Embedded, folder: Path
) -> None:
    from stoker.cli.load import load

    loaded = load(program)
    with server.runner(loaded.nodes), server.client() as client:
        run = client.trigger(loaded.graphs["crawl"], pages=[0, 1, 2])
        assert run.result(60) == 2
        page = stoker("runs", "tasks", str(run.id), "--state", "FAILED", "-o", "json").json
        (bad,) = [task["id"] for task in page["items"]]
        stays = stoker("tasks", "retry", str(bad))
        assert stays.out == f"task {bad}: 1 task to be run again\n"
        assert "these joins had fired already and do not fire again: total" in stays.err
        assert "--rerun-below" in stays.err
        assert run.wait(60).state == "SUCCEEDED"
        assert run.result() == 2
        (folder / "mended").touch()
        again = stoker("tasks", "retry", f"task:{bad}", "--rerun-below")
        assert "these joins run again, as generation 1: total\n1 task of theirs" in again.out
        assert run.result(60) == 3
    past = stoker("runs", "tasks", str(run.id), "--past").out.splitlines()
    assert [line.split()[1:4] for line in past[1:]] == [["total", "SUCCEEDED", "1"]]
    refused = stoker("tasks", "retry", str(bad))
    assert (refused.code, refused.out) == (1, "")
    assert f"task {bad} is SUCCEEDED, and what it gave stays." in refused.err
    assert (
        "  remedy: Start a new run. Joins run again behind a failed task that is retried with --rerun-below."
        in refused.err
    )


def test_a_run_is_retried_with_what_is_below(stoker: Stoker, server: Embedded, program: Path) -> None:
    answer = stoker("runs", "retry", "state=FAILED", "--rerun-below")
    assert (answer.code, "goes with one run" in answer.err) == (2, True)
    assert stoker("runs", "retry", "99999", "--rerun-below").code == 1


def test_a_page_of_tasks_goes_on_where_it_ended(stoker: Stoker, program: Path, server: Embedded) -> None:
    from stoker.cli.load import load

    loaded = load(program)
    with server.runner(loaded.nodes), server.client() as client:
        run = client.trigger(loaded.graphs["crawl"], pages=[0, 2])
        run.result(60)
    first = stoker("runs", "tasks", str(run.id), "--limit", "2")
    assert [line.split()[1] for line in first.out.splitlines()[1:]] == ["fetch", "fetch"]
    more = first.err.split("--after ")[1].strip()
    rest = stoker("runs", "tasks", str(run.id), "--after", more)
    assert [line.split()[1] for line in rest.out.splitlines()[1:]] == ["total"]
    assert stoker("runs", "tasks", str(run.id), "--past", "-o", "json").json == {"items": [], "after": None}


def test_a_run_without_a_result_names_the_task_that_was_to_give_it(stoker: Stoker, program: Path) -> None:
    answer = stoker("run", f"{program}:one", "--input", "page=1")
    assert (answer.code, answer.out) == (4, "")
    assert "'fetch' has no item: task 1 (fetch, FAILED): page 1 is away." in answer.err


def test_python_is_told_so_too(server: Embedded, program: Path) -> None:
    from stoker.cli.load import load
    from stoker.errors import NoResult

    loaded = load(program)
    with server.runner(loaded.nodes), server.client() as client:
        run = client.trigger(loaded.graphs["one"], page=1)
        with pytest.raises(NoResult, match=r"'fetch' has no item: task \d+ \(fetch, FAILED\): page 1 is away"):
            run.result(60)
