"""Handles of artifacts in the bytes of JSON."""

from __future__ import annotations

import json

import pytest

from stoker.core.handles import artifacts_in, renamed


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        (b'{"$artifact":7}', [7]),
        (b'[{"a": {"$artifact" :\n 7}}, {"$artifact":"8"}]', [7, 8]),
        (b'{"\\u0024artifact": 7, "x": {"$\\u0061rt\\u0069fact": "\\u0038"}}', [7, 8]),
        (b'{"$artifact": true, "artifact": 3, "$artifacts": 4}', []),
        (json.dumps('{"$artifact": 7}').encode(), []),
        (json.dumps({"text": 'say "$artifact": 7'}).encode(), []),
        (b'{"$artifact":' + b"9" * 60 + b"}", [2**63]),
    ],
)
def test_every_way_to_write_one_is_found_and_nothing_else(body: bytes, ids: list[int]) -> None:
    assert list(artifacts_in(body)) == ids


def test_others_stand_in_their_place_and_all_else_stays() -> None:
    body = b'[1.0, {"$artifact" : 7}, {"$artifact":"\\u0038"}, "\\"$artifact\\": 7", {"a": 7}]'
    after = renamed(body, {7: 100, 8: 5}.__getitem__)
    assert after == b'[1.0, {"$artifact" : 100}, {"$artifact":"5"}, "\\"$artifact\\": 7", {"a": 7}]'
