"""Which processors a program has, by the name of their node template."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from typing import Any, TypeVar

from heat_runtime.processor import BaseProcessor
from stoker.core.names import fault

P = TypeVar("P")


class Registry:
    """Holds classes; or instances, of which each task gets a copy."""

    def __init__(self) -> None:
        self._processors: dict[str, Any] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._processors

    def __iter__(self) -> Iterator[str]:
        return iter(self._processors)

    def __len__(self) -> int:
        return len(self._processors)

    def register(self, processor: P) -> P:
        """Keep a class or an instance under its TEMPLATE_NAME. ValueError: the name is unusable, or another one's."""
        name = _name_of(processor)
        if self._processors.setdefault(name, processor) is not processor:
            raise ValueError(
                f"{self._processors[name]!r} is registered for the template {name!r} already, so {processor!r} "
                f"cannot be. Give it another TEMPLATE_NAME, or call HeatRuntime.unregister({name!r}) first."
            )
        return processor

    def unregister(self, name: str) -> Any:
        """Forget a processor and return it. ValueError: there is none of this name."""
        if name not in self._processors:
            raise ValueError(f"no processor is registered for the template {name!r}; registered: {sorted(self)}")
        return self._processors.pop(name)

    def of(self, name: str) -> Any:
        return self._processors[name]


def fresh(processor: Any) -> Any:
    """Return an instance that no other task has seen."""
    return processor() if isinstance(processor, type) else copy(processor)


def _name_of(processor: Any) -> str:
    name = getattr(processor, "TEMPLATE_NAME", "")
    if not name:
        raise ValueError(f"{processor!r} has no TEMPLATE_NAME. Set it to the name of its node template.")
    if wrong := fault(name):
        raise ValueError(f"the TEMPLATE_NAME of {processor!r} cannot be used: {wrong}")
    process = getattr(processor, "process", None)
    if not callable(process) or process is BaseProcessor.process:
        raise TypeError(f"{processor!r} has no process(inputs, config). Subclass BaseProcessor and define it.")
    return str(name)
