"""`BaseProcessor`: what a program subclasses, once per node template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from heat_runtime.runtime import HeatRuntime


class BaseProcessor:
    """Each task gets an instance of its own; `task` and `runtime` are set before `validate` is called.

    `inputs` maps names to `bytes`, or to a seekable binary file where the bytes are more than 64 MiB. Both methods run
    in a thread with an event loop of its own, so they may block.
    """

    TEMPLATE_NAME: ClassVar[str] = ""
    task: Any
    runtime: HeatRuntime

    async def validate(self, inputs: dict[str, Any], config: dict[str, Any]) -> None:
        """Fail by raising. No inputs at all are valid."""
        for name, value in (("inputs", inputs), ("config", config)):
            if not isinstance(value, Mapping):
                raise TypeError(f"{name} is a mapping, not {type(value).__name__}")

    async def process(self, inputs: dict[str, Any], config: dict[str, Any]) -> Any:
        """Return the node's output: any value with a JSON form, `bytes`, or None for an empty one."""
        raise NotImplementedError(f"{type(self).__name__} has no process(inputs, config)")  # subclasses have it
