"""A processor as work of a Stoker runner: its kind is the template's name, with any inputs and one item."""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from inspect import cleandoc
from typing import TYPE_CHECKING, Any

from heat_runtime.attempt import attempt
from heat_runtime.output import output
from heat_runtime.payload import divided, payloads
from heat_runtime.registry import fresh
from stoker.authoring.dump import to_json
from stoker.authoring.file import File
from stoker.authoring.task import current_task
from stoker.core.graph import KindSpec

if TYPE_CHECKING:
    from heat_runtime.runtime import HeatRuntime


class HeatWork:
    """Fills the port `stoker.runner.work.Work`. It is sync, so it runs in a thread of the runner's pool."""

    isolation = False
    stop_grace_s = 10.0
    is_async = False

    def __init__(self, name: str, processor: Any, runtime: HeatRuntime) -> None:
        cls = processor if isinstance(processor, type) else type(processor)
        self.kind = KindSpec(name=name, description=cleandoc(cls.__doc__ or ""))
        self._processor = processor
        self._runtime = runtime

    def arguments(self, inputs: dict[str, Any], *, task: Any) -> dict[str, Any]:
        """Take any inputs; artifacts are fetched by `call`, where a failure may be tried again."""
        return {"inputs": inputs, "task": task}

    def call(self, arguments: dict[str, Any]) -> Any:
        inputs, config = divided(arguments["inputs"])
        processor = fresh(self._processor)
        processor.task, processor.runtime = arguments["task"], self._runtime
        with ExitStack() as opened:
            return attempt(processor, payloads(inputs, opened), config)

    def dump(self, result: Any) -> list[bytes]:
        return [to_json(output(result, _Uploads()))]


class _Uploads:
    """Stores bytes as artifacts, through the runner of the current task."""

    def __init__(self) -> None:
        self._count = itertools.count(1)

    def __call__(self, content: bytes, name: str) -> dict[str, int]:
        path = current_task().scratch / f"output-{next(self._count)}.bin"
        path.write_bytes(content)
        return File(path, name=name, media_type="application/octet-stream").to_handle()
