"""JSON Schemas of the types on the wire, as components of the OpenAPI document.

msgspec's own generator refuses a struct with a default of type `Raw`, which the protocol has; hence this walk over its
public type information.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

import msgspec
from msgspec import inspect as mi

Schema = dict[str, Any]

REF = "#/components/schemas/"
_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
_LENGTHS = {"min_length": "minItems", "max_length": "maxItems"}


class Schemas:
    """Schemas of types; structs become named components, collected in `components`."""

    def __init__(self) -> None:
        self.components: dict[str, Schema] = {}

    def of(self, kind: Any) -> Schema:
        """The schema of a type, a reference where it is a struct."""
        return {} if kind is object else self._schema(mi.type_info(kind))

    def fields(self, struct: type[msgspec.Struct]) -> list[tuple[str, Schema, bool]]:
        """Name, schema and whether it is required, of each field of a struct that itself is no component."""
        info = mi.type_info(struct)
        assert isinstance(info, mi.StructType)
        return [(field.encode_name, self._field(field), field.required) for field in info.fields]

    def _schema(self, kind: mi.Type) -> Schema:
        match kind:
            case mi.Metadata():
                return self._schema(kind.type) | (kind.extra_json_schema or {})
            case mi.AnyType() | mi.RawType():
                return {}
            case mi.NoneType():
                return {"type": "null"}
            case mi.BoolType():
                return {"type": "boolean"}
            case mi.IntType():
                return {"type": "integer"} | _limits(kind, _BOUNDS)
            case mi.FloatType():
                return {"type": "number"} | _limits(kind, _BOUNDS)
            case mi.StrType():
                return {"type": "string"}
            case mi.DateTimeType():
                return {"type": "string", "format": "date-time"}
            case mi.LiteralType():
                return {"enum": list(kind.values)}
            case mi.UnionType():
                return self._union(kind)
            case mi.ListType() | mi.VarTupleType():
                return {"type": "array", "items": self._schema(kind.item_type)} | _limits(kind, _LENGTHS)
            case mi.DictType():
                return {"type": "object", "additionalProperties": self._schema(kind.value_type)}
            case mi.StructType():
                return self._component(kind)
            case mi.CustomType() if isinstance(schema := getattr(kind.cls, "SCHEMA", None), dict):
                return schema
            case _:
                raise TypeError(f"the API has no schema for {type(kind).__name__}; add it to {__name__}")

    def _union(self, kind: mi.UnionType) -> Schema:
        members = [member for member in kind.types if not _is_unset(member)]
        if len(members) == 1:
            return self._schema(members[0])
        schema: Schema = {"anyOf": [self._schema(member) for member in members]}
        tagged = {str(member.tag): member for member in members if isinstance(member, mi.StructType) and member.tag}
        if len(tagged) == len(members):
            mapping = {tag: self._component(member)["$ref"] for tag, member in tagged.items()}
            schema["discriminator"] = {"propertyName": next(iter(tagged.values())).tag_field, "mapping": mapping}
        return schema

    def _component(self, kind: mi.StructType) -> Schema:
        name = _name(kind)
        if name not in self.components:
            self.components[name] = {}  # breaks the circle of a type that holds itself
            self.components[name] = self._array(kind) if kind.array_like else self._object(kind)
        return {"$ref": REF + name}

    def _object(self, kind: mi.StructType) -> Schema:
        properties = {field.encode_name: self._field(field) for field in kind.fields}
        required = [field.encode_name for field in kind.fields if field.required]
        if kind.tag_field is not None:
            properties = {kind.tag_field: {"const": kind.tag}} | properties
            required.insert(0, kind.tag_field)
        schema: Schema = {"type": "object", "properties": properties, "required": required}
        if kind.forbid_unknown_fields:
            schema["additionalProperties"] = False
        return schema | _description(kind.cls)

    def _array(self, kind: mi.StructType) -> Schema:
        items = [self._field(field) for field in kind.fields]
        return {"type": "array", "prefixItems": items, "minItems": len(items)} | _description(kind.cls)

    def _field(self, field: mi.Field) -> Schema:
        schema = self._schema(field.type)
        if isinstance(field.default, str | int | float | bool):
            schema = schema | {"default": field.default}
        return schema


def _limits(kind: mi.Type, words: dict[str, str]) -> Schema:
    return {word: limit for key, word in words.items() if (limit := getattr(kind, key)) is not None}


def _is_unset(kind: mi.Type) -> bool:
    return isinstance(kind, mi.CustomType) and kind.cls is msgspec.UnsetType


def _name(kind: mi.StructType) -> str:
    """A component name: `Page[GraphView]` is `Page_GraphView`."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", _class_name(kind.cls)).strip("_")


def _class_name(cls: Any) -> str:
    arguments = getattr(cls, "__args__", ())
    return "_".join([cls.__name__, *map(_class_name, arguments)])


def _description(cls: Any) -> Schema:
    text = getattr(cls, "__origin__", cls).__dict__.get("__doc__")
    return {"description": inspect.cleandoc(text)} if text else {}
