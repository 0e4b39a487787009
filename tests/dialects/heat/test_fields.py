"""What fields take: each type by what it accepts and what it refuses, and bodies as they really arrive."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import UNSET, UnsetType

from stoker.api.dialects.heat import bodies, fields
from stoker.errors import Invalid


class Sent(msgspec.Struct, rename="camel"):
    name: fields.Name | UnsetType = UNSET
    text: fields.Free | UnsetType | None = UNSET
    json: fields.JsonText | UnsetType = UNSET
    guid: fields.Guid | UnsetType = UNSET
    at: fields.Moment | UnsetType = UNSET
    store: fields.StoreType | UnsetType = UNSET
    work: fields.TemplateType | UnsetType = UNSET
    key: fields.Key | UnsetType = UNSET
    keys: list[fields.Key] | UnsetType = UNSET


DECODER = fields.decoder(Sent)


def given(body: str) -> dict[str, Any]:
    return fields.given(bodies.decode(body.encode(), DECODER))


@pytest.mark.parametrize(
    ("body", "field", "value"),
    [
        ('{"name": "Zählung"}', "name", "Zählung"),
        ('{"text": "a\\u0000b"}', "text", "a\ufffdb"),
        ('{"text": "a\\ud800"}', "text", "a\ufffd"),
        ('{"text": "\\udc00\\ud800b"}', "text", "\ufffd\ufffdb"),
        ('{"text": "\\ud83d\\ude00"}', "text", "😀"),
        ('{"text": "\\\\ud800"}', "text", "\\ud800"),
        ('{"text": null}', "text", None),
        ('{"json": "{ \\"a\\" : 1}"}', "json", '{ "a" : 1}'),
        ('{"json": {"a": [1, 2.5]}}', "json", '{"a":[1,2.5]}'),
        ('{"guid": "B6A1C2D3-0000-4000-8000-0000000000EE"}', "guid", "b6a1c2d3-0000-4000-8000-0000000000ee"),
        ('{"at": "2026-01-02T03:04:05.000Z"}', "at", "2026-01-02T03:04:05.000Z"),
        ('{"at": "2026-01-02T05:04:05+02:00"}', "at", "2026-01-02T03:04:05.000Z"),
        ('{"at": "2026-01-02"}', "at", "2026-01-02T00:00:00.000Z"),
        ('{"store": 4}', "store", 4),
        ('{"store": "azureblob"}', "store", 5),
        ('{"work": "processing"}', "work", 2),
        ('{"key": "17"}', "key", 17),
        ('{"keys": [1, "2"]}', "keys", [1, 2]),
    ],
)
def test_a_field_is_kept_as(body: str, field: str, value: Any) -> None:
    fields_ = given(body)
    assert fields_ == {field: value}
    assert type(fields_[field]) is type(value)


@pytest.mark.parametrize(
    "body",
    [
        '{"name": "a\\u0001"}',
        '{"name": "e\\u0301"}',
        '{"name": ""}',
        '{"name": null}',
        '{"name": 7}',
        '{"name": "%s"}' % ("x" * 201),
        '{"text": 7}',
        '{"guid": "b6a1c2d3"}',
        '{"guid": "{b6a1c2d3-0000-4000-8000-0000000000}"}',
        '{"at": "yesterday"}',
        '{"store": 6}',
        '{"store": true}',
        '{"store": "Cassandra"}',
        '{"work": "Thinking"}',
        '{"key": -1}',
        '{"key": 9007199254740992}',
        '{"key": "1e3"}',
        '{"key": true}',
        '{"text": NaN}',
        "[]",
        '{{"json": {}1{}}}'.format("[" * 64, "]" * 64),
    ],
)
def test_a_field_is_refused(body: str) -> None:
    with pytest.raises(Invalid):
        given(body)


def test_a_refusal_names_the_field() -> None:
    with pytest.raises(Invalid) as refused:
        given('{"keys": [1, "x"]}')
    assert refused.value.place == "body.keys[1]"


@pytest.mark.parametrize("body", ["", "  ", "{}"])
def test_an_empty_body_is_an_empty_object(body: str) -> None:
    assert given(body) == {}


def test_unknown_fields_are_ignored() -> None:
    assert given('{"createdAt": 7, "name": "a"}') == {"name": "a"}
