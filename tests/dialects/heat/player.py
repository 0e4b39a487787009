"""Plays sessions by hand: a template with an upload and what comes after it, and what runners say."""

from __future__ import annotations

from typing import Any

from dialects.heat.served import Answered, Served

SUM = "generic-sum-csv"
DONE = "Processing succeeded; node is ready for more work."


class Player:
    """A session on a server. `nodes`: their ids by name."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.session: dict[str, Any] = {}
        self.nodes: dict[str, int] = {}
        self.template = 0

    @property
    def id(self) -> str:
        return str(self.session["id"])

    async def begin(self, *edges: tuple[str, tuple[str, ...]], configuration: str = "{}", **defaults: str) -> Player:
        """Make what is needed and start a session. `edges`: nodes with their parents; those without are inputs."""
        body = {"name": SUM, "type": "Processing", "featureInternalName": "f", "acceptsMultipleInputs": True}
        if all(each["name"] != SUM for each in (await self.served.get("/api/nodetemplates"))["template"]):
            await self.served.make("/api/nodetemplates", body, role="system")
        kinds = {each["name"]: each["id"] for each in (await self.served.get("/api/nodetemplates"))["template"]}
        project = await self.served.make("/api/projects", {"title": "P"})
        nodes = [
            {
                "name": name,
                "nodeTemplateId": kinds[SUM] if parents else kinds["input"],
                "parents": [{"name": parent} for parent in parents],
                "defaultConfiguration": defaults.get(name, "{}"),
            }
            for name, parents in edges or (("upload", ()), ("sum", ("upload",)))
        ]
        template = await self.served.make("/api/sessiontemplates", {"nodes": nodes, "configuration": configuration})
        self.template = template["id"]
        self.session = await self.served.make(
            "/api/sessions", {"name": "S", "sessionTemplateId": template["id"]}, query={"projectId": str(project["id"])}
        )
        listed = (await self.served.get("/api/nodes", query={"sessionId": self.id}))["template"]
        self.nodes = {node["name"]: node["id"] for node in listed}
        return self

    async def node(self, name: str) -> Any:
        return await self.served.get(f"/api/nodes/{self.nodes[name]}")

    async def state(self, name: str) -> tuple[int, str]:
        found = await self.node(name)
        return found["lastState"], found["statusDetails"]

    async def give(self, name: str, value: str = '{"v":1}', path: str = "", identifier: str = "out") -> Any:
        return await self.served.make(
            f"/api/nodes/{self.nodes[name]}/output",
            {
                "nodeInstanceId": self.nodes[name],
                "configuration": value,
                "dataSourceId": 1,
                "dataPath": path,
                "outputIdentifier": identifier,
            },
        )

    async def claim(self, *names: str, tag: str = "r") -> Any:
        """A task; None: there is none."""
        body = {"runnerTag": tag, "supportedNodeTemplateNames": list(names or [SUM])}
        answered = await self.served.ask("POST", "/api/tasks/claim", body)
        assert answered.status in (200, 404), answered
        return answered.value if answered.status == 200 else None

    async def say(self, task: Any, verb: str, **query: str) -> Any:
        answered = await self.ask(task, verb, **query)
        assert answered.status == 200, answered
        return answered.value

    async def ask(self, task: Any, verb: str, **query: str) -> Answered:
        id_ = task if isinstance(task, int) else task["id"]
        return await self.served.ask("PUT", f"/api/tasks/{id_}/{verb}", query=query)

    async def status(self, name: str, state: int, text: str = "", **more: str) -> Any:
        body = {"lastState": state, "statusDetails": text, **more}
        answered = await self.served.ask("PUT", f"/api/nodes/{self.nodes[name]}/status", body)
        assert answered.status == 200, answered
        return answered.value

    async def work(self, value: str = '{"v":2}', **options: Any) -> Any:
        """A task from claim to complete, as the published client does it."""
        task = await self.claim(**options)
        if task is not None:
            name = task["nodeInstance"]["name"]
            await self.say(task, "signal")
            await self.give(name, value)
            await self.status(name, 3, DONE)
            await self.say(task, "complete")
        return task
