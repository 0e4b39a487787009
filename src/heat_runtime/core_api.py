"""The HTTP API of HEAT as this facade calls it: one call after the other, from any thread."""

from __future__ import annotations

import json
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

TIMEOUT_S = 60.0


class Refused(Exception):
    """The server answered, and said no."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Unreachable(Exception):
    """No answer, or one that says to come again."""


class CoreApi:
    """`url`: http(s), perhaps with a path that all calls go below."""

    def __init__(self, url: str, token: str | None = None) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"CORE_API_URL={url!r} is no http(s) address, such as http://localhost:5220.")
        self._url = url.rstrip("/")
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """The decoded answer. Refused, or Unreachable where it is worth trying again."""
        url = f"{self._url}{path}" + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        request = Request(url, data, self._headers, method=method)  # noqa: S310  the scheme was looked at above
        try:
            with urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310  as above
                content = response.read()
        except HTTPError as error:
            message = _message(error)
            if error.code >= 500 or error.code == 429:
                raise Unreachable(f"{method} {path}: {error.code} {message}") from None
            raise Refused(error.code, f"{method} {path}: {error.code} {message}") from None
        except (URLError, OSError, ValueError) as error:
            raise Unreachable(f"{method} {path}: {error}") from None
        return json.loads(content) if content else None

    # --- tasks ---

    def claim(self, tag: str, names: list[str]) -> dict[str, Any] | None:
        try:
            task = self.call("POST", "/api/tasks/claim", {"runnerTag": tag, "supportedNodeTemplateNames": names})
        except Refused as refused:
            if refused.status != 404:
                raise
            return None
        return task if task and task.get("id") else None

    def signal(self, task: int, lease_s: int) -> bool:
        """Whether the task is still ours. `lease_s` 0 gives it back."""
        return self._ours("signal", task, leaseSeconds=lease_s)

    def complete(self, task: int) -> bool:
        return self._ours("complete", task)

    def fail(self, task: int) -> bool:
        return self._ours("fail", task)

    def _ours(self, verb: str, task: int, **query: Any) -> bool:
        try:
            answer = self.call("PUT", f"/api/tasks/{task}/{verb}", **query)
        except Refused as refused:
            if refused.status != 404:
                raise
            return False
        return bool(answer) and answer.get("verboseState") != "Superseded"

    # --- nodes ---

    def node(self, id_: int) -> dict[str, Any]:
        return dict(self.call("GET", f"/api/nodes/{id_}"))

    def status(self, node: int, state: int, text: str) -> None:
        self.call("PUT", f"/api/nodes/{node}/status", {"lastState": state, "statusDetails": text})

    def output(self, node: int, configuration: str, source: int, identifier: str, path: str = "") -> dict[str, Any]:
        body = {
            "nodeInstanceId": node,
            "configuration": configuration,
            "dataSourceId": source,
            "dataPath": path,
            "outputIdentifier": identifier,
        }
        return dict(self.call("POST", f"/api/nodes/{node}/output", body))

    def outputs(self, node: int) -> list[dict[str, Any]]:
        return list(self.call("GET", f"/api/nodes/{node}/output/all"))

    # --- what a platform keeps ---

    def configuration(self, prefix: str) -> dict[str, Any]:
        return dict(self.call("GET", f"/api/config/{quote(prefix, safe='')}"))

    def configure(self, name: str, value: str) -> None:
        """Change an entry, or make it."""
        try:
            self.call("PUT", f"/api/config/{quote(name, safe='')}", {"value": value})
        except Refused as refused:
            if refused.status != 404:
                raise
            self.call("POST", "/api/config", {"name": name, "valueType": 0, "value": value})

    def users(self, session: str) -> list[dict[str, Any]]:
        return list(self.call("GET", f"/api/sessions/{session}/users")["template"])

    def source(self, name: str) -> int | None:
        """The id of a data source."""
        found = [each["id"] for each in self.call("GET", "/api/datasources") if each["name"] == name]
        return found[0] if found else None


def _message(error: HTTPError) -> str:
    try:
        return str(json.loads(error.read()).get("message", ""))
    except (OSError, ValueError, AttributeError):
        return ""
