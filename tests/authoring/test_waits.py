"""`stoker.wait` in a graph: what it compiles to, and what cannot be meant."""

from __future__ import annotations

import pytest

import stoker
from stoker.core.graph import WAIT_KIND, Each, Edge, Wait


@stoker.node
def draft(topic: str) -> str:
    return topic


@stoker.node
def publish(text: str, ok: bool) -> str:
    return text if ok else ""


def test_a_wait_comes_after_what_it_shows_and_gives_what_it_is_settled_with() -> None:
    @stoker.graph
    def article(topic: str):
        text = draft(topic)
        return publish(text, stoker.wait("approval", text=text, schema=bool, expires="1h", default=False))

    (wait,) = [node for node in article.spec.nodes if node.kind == WAIT_KIND]
    assert (wait.name, wait.fire) == ("approval", Each(way=Edge(node="draft")))
    assert wait.wait == Wait(schema={"type": "boolean"}, expires="1h", default=False)
    assert [work.name for work in article.nodes] == ["draft", "publish"]


def test_waits_are_named_apart_and_mapped() -> None:
    @stoker.graph
    def votes(names: list[str]):
        return stoker.wait.map("vote", name=stoker.each(names)), stoker.wait("vote")

    one, other = votes.spec.nodes
    assert (one.name, other.name) == ("vote", "vote_2")
    assert one.expand is not None
    assert other.wait == Wait()


def test_the_defaults_of_a_graph_are_not_for_what_the_engine_holds() -> None:
    @stoker.graph(retry=stoker.Retry(3), timeout="5m")
    def inside():
        return stoker.wait("w")

    @stoker.graph
    def around():
        return inside()

    for graph in (inside, around):
        (wait,) = graph.spec.nodes
        assert (wait.retry, wait.timeout) == (None, None)


def test_a_default_without_an_end_is_refused_where_it_is_written() -> None:
    @stoker.graph
    def endless():
        return stoker.wait("w", default=1)

    with pytest.raises(TypeError, match="never expires"):
        _ = endless.spec


def test_a_wait_with_a_timeout_is_refused_for_it_has_an_expiry_instead() -> None:
    @stoker.graph
    def hasty():
        return stoker.wait("w", timeout="5d")

    with pytest.raises(TypeError, match="Write expires='24h'"):
        _ = hasty.spec


def test_a_wait_outside_of_a_graph_is_refused() -> None:
    with pytest.raises(TypeError, match="outside of a graph"):
        stoker.wait("w")
