"""A task as HEAT gave it: what its processor is given, and what becomes of what that returns."""

from __future__ import annotations

import json
from typing import Any

from heat_runtime.output import output


class HeatTask:
    """`id` names the attempt. `raw`: the task as it came."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self.raw = raw
        self.id = int(raw["id"])
        node = raw["nodeInstance"]
        self.node = int(node["id"])
        self.session = str(node.get("sessionId") or "")
        self.parents = {int(parent["id"]): str(parent["name"]) for parent in node.get("parents") or ()}
        self.template = str((node.get("nodeTemplate") or {}).get("name") or node.get("name") or "")
        self.schema = (node.get("nodeTemplate") or {}).get("configurationSchema")

    @property
    def config(self) -> dict[str, Any]:
        text = self.raw.get("nodeInstanceConfiguration") or "{}"
        found = json.loads(text)
        return found if isinstance(found, dict) else {}

    @property
    def inputs(self) -> dict[str, bytes]:
        """What the nodes before gave: by identifier, by node, and as `file` if it is one. First come, first served."""
        outputs = self.raw.get("parentNodeOutputs") or []
        found: dict[str, bytes] = {}
        for each in outputs:
            found.setdefault(each["outputIdentifier"] or "output", payload(each))
        for each in outputs:
            found.setdefault(self.parents.get(each["nodeInstanceId"], "input"), payload(each))
        if len(outputs) == 1:
            found.setdefault("file", payload(outputs[0]))
        else:
            found.pop("file", None)
        return found


def payload(given: dict[str, Any]) -> bytes:
    """The bytes of an output. ValueError if it has none that are at hand."""
    text = given.get("configuration")
    if not text:
        raise ValueError(f"the output {given.get('id')} has no configuration, and its bytes cannot be fetched")
    return str(text).encode("utf-8", "surrogatepass")


def written(result: Any) -> str:
    """What `process` returned, as JSON. InvalidOutput if it has no JSON form."""
    return json.dumps(output(result, _no_store), ensure_ascii=False)


def _no_store(content: bytes, name: str) -> Any:
    raise ValueError(f"{name} has {len(content)} bytes, which need an object store; this version writes JSON only")
