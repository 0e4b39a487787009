"""A server that speaks Exosphere and processes of the real SDK on it, and what the views of the dialect say of runs."""

from __future__ import annotations

import base64
import json
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from e2e.site import Site, until

SDK = Path(__file__).parent / "sdk"
NS = "Conformance"
KEY = base64.b64encode(bytes(range(32))).decode()


class Refused(Exception):
    """What the SDK raised."""


class SdkSite(Site):
    """`python`: that of the SDK's environment."""

    def __init__(self, folder: Path, python: Path, **settings: str) -> None:
        self._python = python
        self._manager: subprocess.Popen[str] | None = None
        given = {"STOKER_DIALECTS": "exosphere", "STOKER_SECRET_KEY": KEY}
        super().__init__(folder, {**given, **settings})

    def runtime(self, name: str = "runtime", **options: Any) -> subprocess.Popen[bytes]:
        """A Runtime that has registered its nodes."""
        before = self._log().count("Registered nodes")
        with self.log.open("ab") as log:
            command = [self._python, SDK / "worker.py", NS, name, json.dumps({"poll_interval": 0.1, **options})]
            process = subprocess.Popen(command, env=self._environment(), stdout=log, stderr=log)
        self.started.append(process)
        until(lambda: self._log().count("Registered nodes") > before, f"the runtime {name} to register")
        return process

    def ask_sdk(self, verb: str, **call: Any) -> dict[str, Any]:
        """A call of the SDK's StateManager: its value, how long it took, and what it asked the server."""
        if self._manager is None:
            pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            command = [self._python, SDK / "manager.py"]
            self._manager = subprocess.Popen(command, env=self._environment(), **pipes)
            self.started.append(self._manager)  # type: ignore[arg-type]  # one that speaks text
        assert self._manager.stdin
        assert self._manager.stdout
        print(json.dumps({"verb": verb, "namespace": NS, **call}), file=self._manager.stdin, flush=True)
        told: dict[str, Any] = json.loads(self._manager.stdout.readline())
        if "error" in told:
            raise Refused(told["error"])
        return told

    def close(self) -> None:
        super().close()
        if self._manager is not None:
            self._manager.communicate()

    def upsert(self, name: str, *nodes: dict[str, Any], **more: Any) -> dict[str, Any]:
        return self.ask_sdk("upsert", name=name, nodes=list(nodes), **more)

    def trigger(self, name: str, times: int = 1, **more: Any) -> list[str]:
        runs: list[str] = self.ask_sdk("trigger", name=name, times=times, **more)["value"]
        return runs

    def get(self, path: str) -> Any:
        """What a view of the dialect says."""
        return self._ask("GET", path)

    def put(self, graph: str, body: dict[str, Any]) -> None:
        """Upsert a graph with what the SDK has no words for."""
        self._ask("PUT", f"graph/{graph}", json.dumps(body).encode())

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        headers = {"x-api-key": self.token, "content-type": "application/json"}
        url = f"{self.url}/v0/namespace/{NS}/{path}"
        request = urllib.request.Request(url, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                raise Refused(f"{method} {path}: {error.code} {error.read().decode()}") from None

    def runs(self) -> dict[str, dict[str, Any]]:
        return {run["run_id"]: run for run in self.get("runs/1/0")["runs"]}

    def ended(self, runs: list[str], timeout: float = 60) -> list[dict[str, Any]]:
        """What the list of runs says of these once they have ended."""

        def look() -> list[dict[str, Any]] | None:
            listed = self.runs()
            found = [listed[run] for run in runs if run in listed and listed[run]["status"] != "PENDING"]
            return found if len(found) == len(runs) else None

        return until(look, f"{len(runs)} runs to end", timeout)

    def run(self, name: str, **more: Any) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
        """Trigger a graph once; the run as listed once it has ended, and its states by the identifier of their node."""
        (run,) = self.trigger(name, **more)
        (listed,) = self.ended([run])
        return listed, self.states(name, run)

    def run_of(self, graph: str) -> dict[str, Any]:
        """The first run of a graph that has ended, whoever triggered it."""

        def look() -> dict[str, Any] | None:
            listed = [run for run in self.runs().values() if run["graph_name"] == graph]
            return next((run for run in listed if run["status"] != "PENDING"), None)

        return until(look, f"a run of {graph} to end")

    def states(self, graph: str, run: str) -> dict[str, list[dict[str, Any]]]:
        """The details of every state of a run."""
        found: dict[str, list[dict[str, Any]]] = {}
        for node in self.get(f"states/run/{run}/graph")["nodes"]:
            details = self.get(f"graph/{graph}/run/{run}/node/{node['id']}")
            found.setdefault(node["identifier"], []).append(details)
        return found

    def executed(self, node: str) -> list[tuple[float, dict[str, str]]]:
        """Each execution of a node: when (seconds of wall clock), and with which inputs."""
        lines = [line.split(" ", 2) for line in self.noted.read_text().splitlines()]
        return [(int(at) / 1e9, json.loads(inputs)) for at, name, inputs in lines if name == node]

    @property
    def noted(self) -> Path:
        return self.log.with_name("executed")

    def _environment(self) -> dict[str, str]:
        self.noted.touch()
        return {
            "EXOSPHERE_STATE_MANAGER_URI": self.url,
            "EXOSPHERE_API_KEY": self.token,
            "TRACE": str(self.noted),
            "PATH": "/usr/bin:/bin",
        }

    def _log(self) -> str:
        return self.log.read_text()


def node(
    kind: str, identifier: str = "", /, *next_nodes: str, unites: str | dict[str, str] = "", **inputs: str
) -> dict[str, Any]:
    """A node of a graph, as the SDK is given it."""
    given: dict[str, Any] = {
        "node_name": kind,
        "namespace": NS,
        "identifier": identifier or kind.lower(),
        "inputs": inputs,
        "next_nodes": list(next_nodes),
    }
    if unites:
        given["unites"] = unites if isinstance(unites, dict) else {"identifier": unites}
    return given


def alive(*processes: subprocess.Popen[bytes]) -> bool:
    return all(process.poll() is None for process in processes)
