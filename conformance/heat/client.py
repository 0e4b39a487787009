"""The published client in a process of its own, one call after the other."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


class Failed(Exception):
    """What the client threw. `status`: that of the answer it had, if any."""

    def __init__(self, status: int | None, message: str) -> None:
        super().__init__(message)
        self.status = status


class Client:
    """Calls methods of `HEATRuntime` by their names: `client("listProjects")`."""

    def __init__(self, url: str, token: str | None) -> None:
        self.url = url
        self.token = token
        self.made = ""
        """The class of the last answer, or of its first element."""
        self._process = subprocess.Popen(
            ["node", "--no-warnings", "drive.js"],
            cwd=HERE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def __call__(self, method: str, *args: Any, url: str | None = None) -> Any:
        answer = self._ask({"url": url or self.url, "token": self.token, "method": method, "args": args})
        if not answer["ok"]:
            raise Failed(answer["status"], answer["error"])
        self.made = answer["made"]
        return answer["value"]

    def environment(self, **wanted: str | None) -> dict[str, str | None]:
        """Set variables of the client's process, or unset them; gives what they were."""
        were: dict[str, str | None] = self._ask({"env": wanted})["value"]
        return were

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def _ask(self, call: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(call) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer
