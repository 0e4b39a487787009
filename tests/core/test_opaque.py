"""Opaque ids: what is signed is known again, what was touched is not."""

from __future__ import annotations

import hashlib
import hmac
from uuid import UUID

import pytest

from stoker.core.opaque import mac, proves, run_of, uuid_of

KEY, OLD = bytes(range(32)), b"old" * 11


def test_a_mac_is_the_beginning_of_an_hmac() -> None:
    assert mac(KEY, "12-3") == hmac.new(KEY, b"12-3", hashlib.sha256).hexdigest()[:16]


def test_a_mac_proves_its_text_alone_under_any_key_that_is_known() -> None:
    made = mac(OLD, "12-3")
    assert proves([KEY, OLD], "12-3", made)
    assert not proves([KEY], "12-3", made)
    assert not proves([KEY, OLD], "12-4", made)
    for wrong in ("", made[:-1], made + "0", made.upper() + "x", "ä" * 16, "\ud800"):
        assert not proves([KEY, OLD], "12-3", wrong)
    for place in range(16):
        changed = "0" if made[place] != "0" else "1"
        assert not proves([OLD], "12-3", made[:place] + changed + made[place + 1 :])


@pytest.mark.parametrize("run", [1, 4095, 4096, 2**43 - 2**21, 2**60 - 1])
def test_a_run_is_a_uuid_of_version_8_and_back(run: int) -> None:
    uuid = uuid_of(OLD, run)
    assert (str(UUID(uuid)), UUID(uuid).version, UUID(uuid).variant) == (uuid, 8, "specified in RFC 4122")
    assert run_of([KEY, OLD], uuid) == run
    assert run_of([KEY, OLD], uuid.upper()) == run
    assert run_of([KEY], uuid) is None


def test_a_uuid_that_was_touched_anywhere_is_of_no_run() -> None:
    uuid = uuid_of(KEY, 123_456_789)
    for place, digit in enumerate(uuid):
        for other in "0123456789abcdef":
            if digit not in ("-", other):
                assert run_of([KEY], uuid[:place] + other + uuid[place + 1 :]) is None
    for text in ("", "x", uuid[:-1], uuid.replace("-", ""), uuid + "\n", "{" + uuid + "}"):
        assert run_of([KEY], text) is None
