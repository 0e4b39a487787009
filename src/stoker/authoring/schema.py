"""Type hints to JSON Schemas, and JSON values to what the hints say. pydantic is imported on first use: it is heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, NotRequired

from stoker.authoring.dump import InvalidOutput, plain
from stoker.authoring.misuse import misuse
from stoker.errors import Invalid, Problem

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError


@dataclass(frozen=True, slots=True)
class Field:
    hint: Any
    required: bool = True


class Inputs:
    """The inputs of a kind: named fields, or a model (`hint`) that has them."""

    def __init__(self, place: str, fields: Mapping[str, Field], hint: Any = None, *, extra: bool = False) -> None:
        self._place = place
        self._fields = fields
        self._hint = hint
        self._extra = extra

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        if self._hint is not None:
            return adapter(self._hint, "Inputs", self._place)
        for name, field in self._fields.items():
            adapter(field.hint, f"the parameter {name!r}", self._place)
        return adapter(_typed_dict(self._fields, extra=self._extra), "the parameters", self._place)

    @cached_property
    def schema(self) -> dict[str, Any]:
        if self._hint is None and not self._fields:
            return {"type": "object", "properties": {}, "additionalProperties": self._extra}
        return json_schema(self._adapter, "validation", self._place)

    def convert(self, values: Mapping[str, Any], kind: str) -> Any:
        """The values as the hints say. Raises Invalid naming every input that does not fit."""
        from pydantic import ValidationError

        try:
            return self._adapter.validate_python(values)
        except ValidationError as error:
            raise Invalid(
                f"the inputs of {kind!r} do not fit its hints:",
                code="invalid_input",
                place=self._place,
                problems=_problems(error, "input"),
            ) from None


class Output:
    """What a kind's items look like. `hint` None: anything."""

    def __init__(self, place: str, hint: Any = None, *, hinted: bool = True) -> None:
        self._place = place
        self._hint = hint
        self._free = not hinted or hint is Any or hint is object

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return adapter(self._hint, "the return", self._place)

    @cached_property
    def schema(self) -> dict[str, Any]:
        return {} if self._free else json_schema(self._adapter, "serialization", self._place)

    def conform(self, item: Any) -> Any:
        """The item as JSON-able builtins that fit the hint. Raises InvalidOutput naming the place."""
        found = plain(item)
        if self._free:
            return found
        from pydantic import ValidationError

        try:
            valid = self._adapter.validate_python(found)
        except ValidationError as error:
            raise InvalidOutput(
                "the result does not fit the return hint:", place=self._place, problems=_problems(error, "result")
            ) from None
        return self._adapter.dump_python(valid, mode="json", by_alias=True)


def schema_of(hint: Any, what: str, place: str) -> dict[str, Any]:
    """The JSON Schema of values that a hint accepts."""
    return {} if hint is Any else json_schema(adapter(hint, what, place), "validation", place)


def adapter(hint: Any, what: str, place: str) -> TypeAdapter[Any]:
    """What checks and describes a hint. Raises Misuse naming what has a hint without a JSON form."""
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation, PydanticUserError

    try:
        return TypeAdapter(hint)
    except (PydanticSchemaGenerationError, PydanticUndefinedAnnotation, PydanticUserError) as error:
        raise misuse(
            f"the hint of {what} has no JSON form: {str(error).splitlines()[0]}",
            "Use builtins, pydantic models, dataclasses or stoker.File, or leave the hint out.",
            place=place,
        ) from error


def json_schema(of: TypeAdapter[Any], mode: Any, place: str) -> dict[str, Any]:
    from pydantic.errors import PydanticInvalidForJsonSchema

    try:
        found = of.json_schema(mode=mode, schema_generator=_generator())
    except PydanticInvalidForJsonSchema as error:
        raise misuse(
            f"a hint has no JSON form: {str(error).splitlines()[0]}", "Use builtins or models.", place=place
        ) from error
    return {key: value for key, value in found.items() if key != "title"}


@cache
def _generator() -> Any:
    from pydantic.json_schema import GenerateJsonSchema

    class Untitled(GenerateJsonSchema):
        """Without titles, which only repeat the names."""

        def field_title_should_be_set(self, schema: Any) -> bool:
            return False

    return Untitled


def _typed_dict(fields: Mapping[str, Field], *, extra: bool) -> Any:
    from pydantic import ConfigDict
    from typing_extensions import TypedDict

    hints = {name: field.hint if field.required else NotRequired[field.hint] for name, field in fields.items()}
    make: Any = TypedDict  # of fields known only now
    made = make("Inputs", hints)
    made.__pydantic_config__ = ConfigDict(extra="allow" if extra else "forbid")
    return made


def _problems(error: ValidationError, what: str) -> list[Problem]:
    return [
        Problem(
            code=found["type"],
            place=f"{what} {'.'.join(map(str, found['loc']))!r}" if found["loc"] else what,
            message=f"{found['msg']} (got {_short(found['input'])})",
        )
        for found in error.errors(include_url=False, include_context=False)
    ]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
