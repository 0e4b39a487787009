"""One attempt: validate, then process, in an event loop of its own in this thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from inspect import isawaitable
from typing import Any


def attempt(
    processor: Any, inputs: dict[str, Any], config: dict[str, Any], between: Callable[[], None] = lambda: None
) -> Any:
    """Return what `process` returned; `between` is called once the inputs are valid.

    Raises what any of them raised, without the frames of the loop.
    """
    result, error = asyncio.run(_attempt(processor, inputs, config, between))
    if error is not None:
        raise error
    return result


async def _attempt(
    processor: Any, inputs: dict[str, Any], config: dict[str, Any], between: Callable[[], None]
) -> tuple[Any, Exception | None]:
    try:
        await _awaited(processor.validate(inputs, config))
        between()
        return await _awaited(processor.process(inputs, config)), None
    except Exception as error:  # noqa: BLE001  whatever user code raised is raised again outside of the loop
        return None, error


async def _awaited(value: Any) -> Any:
    return await value if isawaitable(value) else value
