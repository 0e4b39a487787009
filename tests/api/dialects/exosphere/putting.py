"""Graph templates as a caller puts and triggers them."""

from __future__ import annotations

from typing import Any

from api.dialects.exosphere.samples import body
from api.dialects.exosphere.sdk import Sdk
from engine.plant import NS as HOME
from engine.plant import Plant
from stoker.api.dialects.exosphere.kinds import SORT
from stoker.core.graph import KindSpec
from stoker.engine.documents import Changes


async def register(plant: Plant, namespace: str, *kinds: KindSpec) -> None:
    """As runtimes do it."""

    async def along(changes: Changes) -> None:
        for kind in kinds:
            await changes.add(SORT, b"{}", name=kind.name)

    await plant.engine.catalog.put_kinds(namespace, kinds, along)


def at_home(*nodes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return body(*({**each, "namespace": each["namespace"].replace("plant", HOME)} for each in nodes), **more)


async def put(sdk: Sdk, *nodes: dict[str, Any], name: str = "g", **more: Any) -> Any:
    status, answer = await sdk.ask("PUT", f"graph/{name}", at_home(*nodes, **more))
    assert status == 201, answer
    return answer


async def start(sdk: Sdk, name: str = "g", **given: Any) -> str:
    status, answer = await sdk.ask("POST", f"graph/{name}/trigger", given)
    assert (status, answer.get("status")) == (200, "CREATED"), answer
    run: str = answer["run_id"]
    return run
