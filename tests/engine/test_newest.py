"""A trigger starts the newest version of a graph, whatever was looked up meanwhile."""

from __future__ import annotations

from typing import Any

from engine.plant import Plant, node


async def test_a_version_looked_up_before_a_push_does_not_stay_the_newest(plant: Plant) -> None:
    await plant.push(node("a"))
    await plant.restart()
    real, pushed = plant.engine.store.read, []

    async def push_behind(work: Any) -> Any:
        found = await real(work)
        if not pushed and "version" in getattr(work, "__qualname__", ""):
            pushed.append(True)
            await plant.push(node("a"), node("b"))
        return found

    plant.engine.store.read = push_behind  # type: ignore[method-assign]
    await plant.trigger()  # looks up the version while another is pushed
    assert pushed
    assert (await plant.run(await plant.trigger())).version == 2
