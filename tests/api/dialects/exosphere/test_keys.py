"""A server without a key of secrets, as a caller of the dialect meets it."""

from __future__ import annotations

from pathlib import Path

from api.dialects.exosphere.conftest import author, speaking
from api.dialects.exosphere.putting import at_home
from api.dialects.exosphere.samples import node
from engine.plant import Plant


async def test_without_a_key_a_graph_with_secrets_is_refused_with_the_remedy(tmp_path: Path) -> None:
    plant = await Plant(tmp_path / "data").start()
    async with speaking(plant) as spoken:
        sdk = await author(spoken)
        status, answer = await sdk.ask("PUT", "graph/g", at_home(node("a"), secrets={"KEY": "hush"}))
        assert status == 409
        assert "this server has no key to encrypt under. Make one with `stoker server key" in answer["detail"]
        assert (await sdk.ask("GET", "graph/g"))[0] == 404
    await plant.stop()
