"""Secrets of a graph: replaced as a whole, in the transaction that says so; its own before those of the namespace."""

from __future__ import annotations

import pytest

from engine.plant import NS, Plant, node
from stoker.bootstrap.keyring import Keyring, id_of
from stoker.core.graph import GraphSpec, KindSpec
from stoker.core.secret_views import SecretRequest
from stoker.core.views import GraphView, PushRequest
from stoker.engine.documents import Changes
from stoker.errors import Conflict, Invalid

ONE, TWO = bytes([1]) * 32, bytes([2]) * 32
KINDS = (KindSpec(name="open", secrets=("KEY", "TOKEN")),)
TEXT = "sample.text"


@pytest.fixture
async def keyed(plant: Plant) -> Plant:
    plant.keys = [ONE]
    await plant.restart()
    return plant


async def push(plant: Plant, secrets: dict[str, str], *, graph: str = "sample", text: bytes = b"") -> GraphView:
    """Push a graph with its secrets and the text that it was made of."""
    sealed = await plant.engine.secrets.sealed(NS, graph, secrets)

    async def along(changes: Changes, version: int) -> None:
        await changes.put_secrets(sealed)
        await changes.add(TEXT, text, name=f"{graph}/{version}")

    spec = GraphSpec(name=graph, nodes=(node("a", kind="open"),), description=text.decode())
    return await plant.engine.catalog.push(NS, PushRequest(graph=spec, kinds=KINDS), along)


async def given(plant: Plant, graph: str = "sample") -> dict[str, str]:
    """What the runner of a new task is given."""
    await plant.trigger(graph)
    (task,) = await plant.hand(kinds=("open",)).claim()
    return task.secrets


async def test_a_task_is_given_those_of_its_graph_before_those_of_the_namespace(keyed: Plant) -> None:
    await keyed.engine.secrets.put(NS, "TOKEN", SecretRequest(value="of all"))
    await keyed.engine.secrets.put(NS, "KEY", SecretRequest(value="of all"))
    await push(keyed, {"TOKEN": "of one", "UNASKED": "never"})
    await push(keyed, {"TOKEN": ""}, graph="other")
    assert await given(keyed) == {"TOKEN": "of one", "KEY": "of all"}
    assert await given(keyed, "other") == {"TOKEN": "", "KEY": "of all"}
    assert await keyed.engine.secrets.of_graph(NS, "sample") == ["TOKEN", "UNASKED"]
    page = await keyed.engine.secrets.list(NS, limit=10, after=None)
    assert [each.name for each in page.items] == ["KEY", "TOKEN"]


async def test_two_graphs_that_one_runner_serves_at_once_do_not_mix(keyed: Plant) -> None:
    for graph in ("sample", "other"):
        await push(keyed, {"TOKEN": f"of {graph}"}, graph=graph)
        await keyed.trigger(graph)
    tasks = await keyed.hand(kinds=("open",)).claim(2)
    graphs = {task.run: (await keyed.run(task.run)).graph for task in tasks}
    assert {graphs[task.run]: task.secrets for task in tasks} == {
        "sample": {"TOKEN": "of sample"},
        "other": {"TOKEN": "of other"},
    }


async def test_a_push_replaces_all_of_them_also_for_runs_that_go_on(keyed: Plant) -> None:
    await push(keyed, {"TOKEN": "first", "KEY": "gone"}, text=b"1")
    run = await keyed.trigger()
    await push(keyed, {"TOKEN": "second"}, text=b"2")
    (task,) = await keyed.hand(kinds=("open",)).claim()
    assert (task.run, task.secrets) == (run, {"TOKEN": "second"})
    await push(keyed, {}, text=b"3")
    assert await keyed.engine.secrets.of_graph(NS, "sample") == []


async def test_a_push_that_fails_changes_neither_secrets_nor_documents(keyed: Plant) -> None:
    await push(keyed, {"TOKEN": "first"})
    with pytest.raises(Conflict, match="already"):
        await push(keyed, {"TOKEN": "second"})  # the same version, so its text is there
    assert await given(keyed) == {"TOKEN": "first"}
    view = await push(keyed, {"TOKEN": "third"}, text=b"new")
    assert view.version == 2
    found = [(each.name, each.body) for each in await keyed.engine.documents.list(NS, TEXT)]
    assert found == [("sample/1", b""), ("sample/2", b"new")]


async def test_what_a_graph_has_is_not_missed(keyed: Plant) -> None:
    view = await push(keyed, {"TOKEN": "here"})
    assert [warning for warning in view.warnings if "TOKEN" in warning] == []
    assert [warning for warning in view.warnings if "KEY" in warning] != []
    run = await keyed.trigger()
    (task,) = await keyed.tasks(run)
    told = " ".join((await keyed.engine.views.explain_task(NS, task.id)).because)
    assert ("'TOKEN'" in told, "'KEY', which is not set" in told) == (False, True)


async def test_keys_are_rotated_for_those_of_graphs_too(keyed: Plant) -> None:
    await push(keyed, {"TOKEN": "of one"})
    await keyed.engine.secrets.put(NS, "KEY", SecretRequest(value="of all"))
    keyed.engine.secrets._keys = Keyring([TWO, ONE])
    assert (await keyed.engine.secrets.rotate()).rotated == 2
    keyed.keys = [TWO]
    await keyed.restart()
    assert [(key.id, key.secrets) for key in await keyed.engine.secrets.keys()] == [(id_of(TWO), 2)]
    assert await given(keyed) == {"TOKEN": "of one", "KEY": "of all"}


async def test_what_cannot_be_opened_is_offered_again_and_nothing_is_written_beside_it(keyed: Plant) -> None:
    await push(keyed, {"TOKEN": "of one"})
    keyed.keys = [TWO]
    await keyed.restart()
    await keyed.trigger()
    assert await keyed.hand(kinds=("open",)).claim() == []
    with pytest.raises(Conflict, match="has not got the key"):
        await keyed.engine.secrets.sealed(NS, "sample", {"TOKEN": "new"})
    left = (await keyed.engine.secrets.rotate()).left
    assert left == [f"{NS}/sample/TOKEN"]


async def test_what_was_written_for_another_graph_or_name_is_not_opened(keyed: Plant) -> None:
    await push(keyed, {"TOKEN": "of one"})
    await push(keyed, {"TOKEN": "of two"}, graph="other")
    other = "SELECT sealed FROM graph_secret WHERE graph = 'other'"
    await keyed.sql(f"UPDATE graph_secret SET sealed = ({other}) WHERE graph = 'sample'")
    await keyed.trigger()
    assert await keyed.hand(kinds=("open",)).claim() == []


async def test_what_cannot_be_a_secret_is_named_and_not_shown(keyed: Plant) -> None:
    with pytest.raises(Invalid) as caught:
        await keyed.engine.secrets.sealed(NS, "sample", {"a/b": "hush", "TOKEN": "hush" * 20_000})
    assert [problem.place for problem in caught.value.problems] == ["secrets.a/b", "secrets.TOKEN"]
    assert "hush" not in str(caught.value)
