"""Tags of runs: what may be one, where they are kept and shown, and that a repeated trigger means the same ones."""

from __future__ import annotations

from typing import Any

import pytest

from engine.plant import NS, Plant, node
from stoker.core.tags import MOST_TAGS
from stoker.errors import Conflict, Invalid

BLUE = {"team": "blue", "stage": "süd 3"}


async def test_a_run_shows_the_tags_it_was_triggered_with(plant: Plant) -> None:
    await plant.push(node("a"))
    tagged, bare = await plant.trigger(tags=BLUE), await plant.trigger()
    assert (await plant.run(tagged)).tags == BLUE
    assert (await plant.run(bare)).tags == {}
    page = await plant.engine.views.runs(NS, state=None, graph=None, limit=5, after=None)
    assert {view.id: view.tags for view in page.items} == {tagged: BLUE, bare: {}}
    await plant.restart()
    assert (await plant.run(tagged)).tags == BLUE


async def test_only_runs_with_tags_have_rows(plant: Plant) -> None:
    await plant.push(node("a"))
    await plant.trigger()
    run = await plant.trigger(tags={"team": "blue"})
    assert await plant.sql("SELECT run, name, value FROM run_tag") == [(run, "team", "blue")]


@pytest.mark.parametrize(
    ("tags", "place"),
    [
        ({"": "x"}, "tags"),
        ({"a\nb": "x"}, "tags"),
        ({"team": ""}, "tags.team"),
        ({"team": "x" * 201}, "tags.team"),
        ({"team": "e\u0301"}, "tags.team"),
        ({f"t{number}": "x" for number in range(MOST_TAGS + 1)}, "tags"),
    ],
)
async def test_a_tag_that_may_not_be_is_refused_by_its_name(plant: Plant, tags: dict[str, str], place: str) -> None:
    await plant.push(node("a"))
    with pytest.raises(Invalid) as caught:
        await plant.trigger(tags=tags)
    assert (caught.value.code, caught.value.place) == ("bad_tag", place)
    assert "32 tags" in caught.value.remedy
    assert await plant.sql("SELECT COUNT(*) FROM run") == [(0,)]


@pytest.mark.parametrize("other", [{}, {"team": "red"}, {**BLUE, "more": "x"}])
async def test_a_key_means_the_same_tags_each_time(plant: Plant, other: dict[str, str]) -> None:
    await plant.push(node("a"))
    given: dict[str, Any] = {"idempotency_key": "k"}
    run = await plant.trigger(tags=BLUE, **given)
    assert await plant.trigger(tags=dict(reversed(BLUE.items())), **given) == run
    with pytest.raises(Conflict, match="other tags"):
        await plant.trigger(tags=other, **given)
