"""`--input k=v` and `--input k=@file` as the inputs of a run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stoker.cli.failure import Usage
from stoker.core.graph import InputSpec

_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}


def parse(given: Sequence[str], inputs: Mapping[str, InputSpec], *, live: bool = False) -> dict[str, Any]:
    """The inputs by name. Usage, naming the input, for what cannot be meant; types are checked by the server.

    `live`: of a live graph, whose inputs may be published later.
    """
    found: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise Usage(f"--input {text!r} has no value", place="--input", remedy=f"Write --input {text}=VALUE.")
        if name not in inputs:
            raise Usage(f"the graph has no input {name!r}", place="--input", remedy=_known(inputs))
        if name in found:
            raise Usage(f"the input {name!r} is given twice", place="--input", remedy="Give it once.")
        found[name] = _value(name, value, inputs[name].schema)
    if not live and (missing := [name for name, spec in inputs.items() if spec.required and name not in found]):
        names = ", ".join(map(repr, missing))
        raise Usage(f"the graph needs the input {names}", place="--input", remedy=f"Add{_example(missing, inputs)}.")
    return found


def loose(text: str) -> Any:
    """A value without a schema: JSON if it is some, else the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def example(inputs: Mapping[str, InputSpec]) -> str:
    """The flags that a run of the graph needs."""
    return _example((name for name, spec in inputs.items() if spec.required), inputs)


def _known(inputs: Mapping[str, InputSpec]) -> str:
    return f"Its inputs: {', '.join(inputs)}." if inputs else "It takes none."


def _example(names: Iterable[str], inputs: Mapping[str, InputSpec]) -> str:
    return "".join(f" --input {name}={'@PATH' if _is_file(inputs[name].schema) else 'VALUE'}" for name in names)


def _value(name: str, text: str, schema: Mapping[str, Any]) -> Any:
    if text.startswith("@"):
        return _from_file(name, Path(text[1:]), schema)
    if _is_file(schema):
        raise Usage(
            f"the input {name!r} is a file, not the text {text!r}",
            place="--input",
            remedy=f"Write --input {name}=@{text or 'PATH'}.",
        )
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if _may_be(schema, value) else text


def _from_file(name: str, path: Path, schema: Mapping[str, Any]) -> Any:
    try:
        with path.open("rb") as file:
            if _is_file(schema):
                from stoker.authoring.file import File

                return File(path.absolute())
            content = file.read()
    except OSError as error:
        raise Usage(
            f"the file {path} of the input {name!r} cannot be read: {error.strerror}",
            place="--input",
            remedy="Name a file that exists and is readable.",
        ) from None
    try:
        return json.loads(content)
    except ValueError as error:
        if _types(schema) == {"string"} and _is_text(content):
            return content.decode()
        raise Usage(
            f"the file {path} of the input {name!r} is not JSON: {error}",
            place="--input",
            remedy="It must hold the input as JSON.",
        ) from None


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_file(schema: Mapping[str, Any]) -> bool:
    return any("$artifact" in one.get("properties", {}) for one in _choices(schema))


def _may_be(schema: Mapping[str, Any], value: Any) -> bool:
    """Whether a JSON value may be meant, where the text itself would do too."""
    types = _types(schema)
    if "string" not in types:
        return True
    if value is None:
        return "null" in types
    return _TYPES[type(value)] in types - {"string"}


def _types(schema: Mapping[str, Any]) -> set[str]:
    found: set[str] = set()
    for one in _choices(schema):
        types = one.get("type", [])
        found |= {types} if isinstance(types, str) else set(types)
    return found


def _choices(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [schema, *schema.get("anyOf", ()), *schema.get("oneOf", ())]
