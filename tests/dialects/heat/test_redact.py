"""Connection strings: which ones the clients can read, and what stands in their place."""

from __future__ import annotations

import pytest

from stoker.api.dialects.heat import redact

S3, AZURE, MONGO = 4, 5, 3


@pytest.mark.parametrize("type_", range(6))
def test_what_stands_in_place_of_a_string_can_be_read_and_is_known_again(type_: int) -> None:
    shown = redact.redacted(type_)
    assert redact.fault(type_, shown) is None
    assert redact.is_redacted(shown)


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        (S3, "http://key:secret@127.0.0.1:9000/"),
        (S3, '{"bucketName": "b", "region": "r", "accessKeyId": "a", "secretAccessKey": "s"}'),
        (AZURE, "https://account.example.com/container?sig=x"),
        (MONGO, "whatever"),
    ],
)
def test_a_string_that_clients_read_is_taken(type_: int, text: str) -> None:
    assert redact.fault(type_, text) is None


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        (S3, '{"bucketName": "b", "accessKeyId": "a", "secretAccessKey": "s"}'),
        (S3, '{"bucketName": '),
        (S3, "not a url"),
        (S3, "ftp://host/x"),
        (S3, "http://host:port/"),
        (S3, "**REDACTED**"),
        (AZURE, "https://account.example.com"),
        (AZURE, "https://account.example.com/"),
        (AZURE, "container"),
    ],
)
def test_a_string_that_clients_fail_on_is_refused(type_: int, text: str) -> None:
    assert redact.fault(type_, text) is not None
