"""`Node`: the class form, for nodes with declared inputs, outputs and secrets.

::

    class Sum(stoker.Node):
        class Inputs(pydantic.BaseModel):
            numbers: list[float]

        class Outputs(pydantic.BaseModel):
            total: float

        async def execute(self) -> Outputs:
            return self.Outputs(total=sum(self.inputs.numbers))

In a graph `Sum(numbers=h)` is a call and returns a handle, `Sum.map(...)` and `Sum.options(...)` are as on a function
node. Outside, `Sum(numbers=[1, 2])` is an object to test: `await it.execute()`. Options are given with the class:
`class Sum(stoker.Node, name="sum", retry=stoker.Retry(3))`.

`execute` annotated `-> list[Outputs]` fans out: one item each. Annotated otherwise, or not at all, it returns one
`Outputs`, or None, which is the empty item `{}`.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Awaitable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

from stoker.authoring.calls import NodeCall, with_options
from stoker.authoring.dump import InvalidOutput
from stoker.authoring.misuse import misuse
from stoker.authoring.schema import Field, Inputs, Output
from stoker.authoring.secrets import check, declared
from stoker.authoring.source import hints_of, line_of, names_around, source_hash, summary
from stoker.authoring.task import Task
from stoker.authoring.trace import current
from stoker.authoring.work import STOP_GRACE, Work, seconds, template
from stoker.core import graph
from stoker.errors import Invalid


class Node:
    """Subclass with nested models `Inputs`, `Outputs`, `Secrets` and a method `execute`."""

    inputs: Any
    secrets: Any
    task: Task | None = None
    __work: ClassVar[ClassNode | None] = None

    def __new__(cls, **inputs: Any) -> Any:
        if current() is None:
            return super().__new__(cls)
        return NodeCall(cls.node())(**inputs)

    def __init__(self, **inputs: Any) -> None:
        model = getattr(type(self), "Inputs", None)
        self.inputs = model(**inputs) if model is not None else None
        self.secrets = None

    def __init_subclass__(
        cls,
        *,
        name: str | None = None,
        isolation: bool = False,
        stop_grace: graph.Duration = STOP_GRACE,
        **options: Any,
    ) -> None:
        super().__init_subclass__()
        cls.__work = None
        if hasattr(cls, "execute"):
            spec = template(name or cls.__name__, **options)
            grace_s = seconds("stop_grace", stop_grace)
            names = names_around(cls, 1)
            cls.__work = ClassNode(cls, spec, isolation=isolation, stop_grace_s=grace_s, names=names)

    @classmethod
    def node(cls) -> Work:
        """The kind and its code, as a runner takes it."""
        if cls.__work is None:
            raise misuse(f"{cls.__name__} has no method execute.", "Define `async def execute(self)`.")
        return cls.__work

    @classmethod
    def map(cls, **inputs: Any) -> Any:
        """In a graph: one task per element of `each(...)`, or per task of a handle that was mapped."""
        return NodeCall(cls.node()).map(**inputs)

    @classmethod
    def options(cls, **options: Any) -> NodeCall:
        """The node with options for one place, as on a function node."""
        return with_options(cls.node(), **options)


class ClassNode(Work):
    """A subclass of `Node`, as work."""

    def __init__(
        self,
        cls: type[Node],
        spec: graph.NodeSpec,
        *,
        isolation: bool,
        stop_grace_s: float,
        names: dict[str, Any],
    ) -> None:
        self.cls = cls
        self.name = spec.kind
        self.template = spec
        self.isolation = isolation
        self.stop_grace_s = stop_grace_s
        self.place = line_of(cls)
        self._names = names

    def __repr__(self) -> str:
        return f"<node {self.name!r} at {self.place}>"

    def __reduce__(self) -> Any:
        return self.cls.node, ()

    def _model(self, name: str) -> Any:
        return getattr(self.cls, name, None)

    @cached_property
    def _execute(self) -> Any:
        return vars(self.cls).get("execute") or getattr(self.cls, "execute")  # noqa: B009 - a subclass defines it

    @cached_property
    def _many(self) -> bool:
        names = {
            **self._names,
            **{name: getattr(self.cls, name) for name in ("Inputs", "Outputs", "Secrets") if self._model(name)},
        }
        hint = hints_of(self._execute, {**names, self.cls.__name__: self.cls}, self.place).get("return")
        return hint is list or typing.get_origin(hint) in (list, Sequence)

    @cached_property
    def _inputs(self) -> Inputs:
        return Inputs(self.place, {}, self._model("Inputs"))

    @cached_property
    def _output(self) -> Output:
        model = self._model("Outputs")
        return Output(self.place, model, hinted=model is not None)

    @property
    def output(self) -> Output:
        return self._output

    @cached_property
    def _kind(self) -> graph.KindSpec:
        return graph.KindSpec(
            name=self.name,
            input=self._inputs.schema,
            output=self._output.schema,
            items="many" if self._many else "one",
            secrets=declared(_fields(self._model("Secrets")), self.place),
            source_hash=source_hash(self.cls),
            description=summary(self.cls),
        )

    @property
    def kind(self) -> graph.KindSpec:
        return self._kind

    @property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(self._execute)

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        fields = _fields(self._model("Inputs"))
        if args:
            raise misuse(f"{self.name} takes its inputs by name: {', '.join(fields) or 'none'}.")
        unknown = [name for name in kwargs if name not in fields]
        missing = [name for name, field in fields.items() if field.required and name not in kwargs]
        if unknown or missing:
            said = [f"it has no input {name!r}" for name in unknown] + [f"it needs {name!r}" for name in missing]
            raise misuse(f"{self.name}: {'; '.join(said)}.", f"Its inputs are {', '.join(fields) or 'none'}.")
        return dict(kwargs)

    def arguments(self, inputs: dict[str, Any], *, task: Task | None) -> dict[str, Any]:
        found = self._inputs.convert(inputs, self.name) if self._model("Inputs") is not None else None
        return {"inputs": found, "secrets": self._secrets(task), "task": task}

    def _secrets(self, task: Task | None) -> Any:
        model = self._model("Secrets")
        if model is None:
            return None
        fields, known = _fields(model), task.secrets if task is not None else {}
        check((name for name, field in fields.items() if field.required), known, self.name, self.place)
        try:
            return model(**{name: known[name] for name in fields if name in known})
        except ValueError as error:
            raise self._wrong(error) from None  # it would show parts of what it was given

    def _wrong(self, error: Any) -> Invalid:
        """The same without what pydantic was given."""
        said = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_input=False)]
        return Invalid(
            f"the secrets of {self.name!r} are not what it takes: {'; '.join(said)}.",
            code="bad_secret",
            place=self.place,
            remedy="Set them anew, and retry.",
        )

    def call(self, arguments: dict[str, Any]) -> Any | Awaitable[Any]:
        instance = object.__new__(self.cls)
        for name, value in arguments.items():
            setattr(instance, name, value)
        return self._execute(instance)

    def results(self, result: Any) -> Sequence[Any]:
        if not isinstance(result, list | tuple):
            items: Sequence[Any] = [result]
        elif self._many:
            items = result
        else:
            raise InvalidOutput(
                f"{self.name!r} returned a list, but is not annotated so.",
                place=self.place,
                remedy="Annotate execute `-> list[Outputs]` to fan out.",
            )
        return [{} if item is None else item for item in items]


def _fields(model: Any) -> dict[str, Field]:
    """The fields of a pydantic model, by the names they have in JSON."""
    if model is None:
        return {}
    return {
        field.alias or name: Field(field.annotation, field.is_required()) for name, field in model.model_fields.items()
    }
