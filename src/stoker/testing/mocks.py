"""What nodes do in a world instead of what they do: other code, and how long it takes. By the name of their kind."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from stoker.authoring.retry import duration
from stoker.core.duration import Micros, micros
from stoker.core.graph import Duration, KindSpec
from stoker.errors import Invalid
from stoker.runner.work import Work
from stoker.testing.attempt import here


class Mocks:
    """Looked at whenever a task begins, so that they may change while the world goes on."""

    def __init__(self, seed: int) -> None:
        self._dice = Random(f"{seed} durations")  # noqa: S311 - draws what happens, protects nothing
        self._code: dict[str, Callable[..., Any]] = {}
        self._takes: dict[str, tuple[Micros, Micros]] = {}

    def replace(self, node: Any, code: Callable[..., Any] | BaseException) -> None:
        if not callable(code) and not isinstance(code, BaseException):
            raise Invalid(
                f"{code!r} is neither code nor an error to raise.",
                place=f"replace({kind_of(node)})",
                remedy=f"For a value write `lambda: {code!r}`.",
            )
        self._code[kind_of(node)] = _raising(code) if isinstance(code, BaseException) else code

    def restore(self, node: Any) -> None:
        """Have it do again what it does, in no time."""
        self._code.pop(kind_of(node), None)
        self._takes.pop(kind_of(node), None)

    def takes(self, node: Any, least: Duration, most: Duration | None) -> None:
        bounds = (micros(duration("takes", least)), micros(duration("takes", least if most is None else most)))
        self._takes[kind_of(node)] = bounds

    def code(self, kind: str) -> Callable[..., Any] | None:
        return self._code.get(kind)

    def duration(self, kind: str) -> Micros:
        """How long the next task of a kind takes."""
        least, most = self._takes.get(kind, (0, 0))
        return least if most <= least else self._dice.randint(least, most)


class Mocked:
    """A node as the runners of a world serve it."""

    isolation = False

    def __init__(self, work: Work, mocks: Mocks) -> None:
        self._work = work
        self._mocks = mocks
        self.stop_grace_s = work.stop_grace_s

    @property
    def kind(self) -> KindSpec:
        return self._work.kind

    @property
    def is_async(self) -> bool:
        code = self._mocks.code(self.kind.name)
        return self._work.is_async if code is None else inspect.iscoroutinefunction(code)

    def arguments(self, inputs: dict[str, Any], *, task: Any) -> dict[str, Any]:
        return self._work.arguments(inputs, task=task)

    def dump(self, result: Any) -> list[bytes]:
        return self._work.dump(result)

    def call(self, arguments: dict[str, Any]) -> Any:
        takes = self._mocks.duration(self.kind.name)
        if self.is_async:
            return self._later(takes, arguments)
        here().rest(takes)
        return self._call(arguments)

    async def _later(self, takes: Micros, arguments: dict[str, Any]) -> Any:
        await here().rested(takes)
        found: Awaitable[Any] = self._call(arguments)
        return await found

    def _call(self, arguments: dict[str, Any]) -> Any:
        code = self._mocks.code(self.kind.name)
        return self._work.call(arguments) if code is None else code(**_fitting(code, _flat(arguments)))


def kind_of(node: Any) -> str:
    """The name of a node's kind. Invalid if it is no node."""
    if isinstance(node, str):
        return node
    work = node.node() if isinstance(node, type) and hasattr(node, "node") else node
    if not isinstance(work, Work):
        raise Invalid(f"{node!r} is neither a node nor the name of one.", remedy="Pass the node, or its name.")
    return work.kind.name


def _flat(arguments: dict[str, Any]) -> dict[str, Any]:
    """The inputs of the class form, one by one."""
    if set(arguments) != {"inputs", "secrets", "task"}:
        return arguments
    inputs = arguments["inputs"]
    return {**({} if inputs is None else dict(inputs)), "task": arguments["task"]}


def _fitting(code: Callable[..., Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """As many of the arguments as code takes."""
    parameters = inspect.signature(code).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return arguments
    return {name: value for name, value in arguments.items() if name in parameters}


def _raising(error: BaseException) -> Callable[..., Any]:
    def code(**_: Any) -> Any:
        raise error

    return code
