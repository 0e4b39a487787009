"""Inputs as processors get them, and results as items."""

from __future__ import annotations

import asyncio
import math
import runpy
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from heat_programs import CSV, REFERENCE, SUMS

from heat_runtime import payload as payload_file
from heat_runtime.output import output
from heat_runtime.payload import divided, payload, payloads
from stoker.authoring.dump import InvalidOutput
from stoker.authoring.file import artifacts


class Folder:
    """Artifacts as files of a folder, named by id."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fetch(self, artifact: int) -> Path:
        return self.path / str(artifact)

    def store(self, path: Path, name: str, media_type: str) -> int:
        raise AssertionError(f"{name} is not stored here")


def refuse(content: bytes, name: str) -> Any:
    raise AssertionError(f"{name} is not stored here")


def given(tmp_path: Path, **inputs: Any) -> dict[str, Any]:
    (tmp_path / "7").write_bytes(b"seven")
    (tmp_path / "8").write_bytes(b"eight")
    with ExitStack() as opened, artifacts(Folder(tmp_path)):
        return payloads(inputs, opened)


def test_a_lone_artifact_is_the_file_too(tmp_path: Path) -> None:
    assert given(tmp_path, table={"$artifact": 7}, n=1) == {"table": b"seven", "file": b"seven", "n": b"1"}


def test_of_two_artifacts_none_is_the_file(tmp_path: Path) -> None:
    found = given(tmp_path, a={"$artifact": 7}, b={"$artifact": 8})
    assert found == {"a": b"seven", "b": b"eight"}


def test_an_input_named_file_stays_what_it_is(tmp_path: Path) -> None:
    assert given(tmp_path, file={"x": 1}, other={"$artifact": 7}) == {"file": b'{"x":1}', "other": b"seven"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, 2.5]}, b'{"a":[1,2.5]}'),
        (3, b"3"),
        (None, b"null"),
        ("é", '"é"'.encode()),
        ({"$artifact": True}, b'{"$artifact":true}'),
    ],
)
def test_any_other_input_is_the_bytes_of_its_json(tmp_path: Path, value: Any, text: bytes) -> None:
    assert given(tmp_path, x=value) == {"x": text}


def test_config_is_an_object_named_config() -> None:
    assert divided({"config": {"a": 1}, "x": 2}) == ({"x": 2}, {"a": 1})
    assert divided({"x": 2}) == ({"x": 2}, {})
    for other in ([1], None, {"$artifact": 7}):
        assert divided({"config": other}) == ({"config": other}, {})


def test_a_large_input_is_a_seekable_file_that_is_closed_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payload_file, "MOST_IN_MEMORY", 4)
    path = tmp_path / "large"
    path.write_bytes(b"12345")
    with ExitStack() as opened:
        file = payload(path, opened)
        assert not isinstance(file, bytes)
        assert file.read() == b"12345"
        file.seek(1)
        assert file.read() == b"2345"
    assert file.closed
    path.write_bytes(b"1234")
    assert payload(path, ExitStack()) == b"1234"


@pytest.mark.parametrize("raw", [CSV.encode(), bytearray(CSV.encode()), BytesIO(CSV.encode())])
def test_the_reference_program_reads_bytes_bytearrays_and_files(raw: Any) -> None:
    processor = runpy.run_path(str(REFERENCE))["SumProcessor"]()
    asyncio.run(processor.validate({"file": raw}, {}))
    assert output(asyncio.run(processor.process({"file": raw}, {})), refuse) == SUMS


@dataclass
class Point:
    x: float


@pytest.mark.parametrize(
    ("result", "item"),
    [
        (None, {}),
        ({}, {}),
        ({"a": None}, {"a": None}),
        (math.nan, None),
        ({"a": [1.5, math.inf, {"b": (-math.inf,)}]}, {"a": [1.5, None, {"b": [None]}]}),
        (Point(math.nan), {"x": None}),
        (Decimal("nan"), None),
        (np.float64("nan"), None),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array([[1.0, math.nan]]), [[1.0, None]]),
        ({np.int64(1): np.array([2, 3])}, {"1": [2, 3]}),
        (np.datetime64("2024-05-06T07:08:09", "ns"), "2024-05-06T07:08:09"),
        (np.array(["2024-05-06", "NaT"], dtype="datetime64[ns]"), ["2024-05-06T00:00:00", None]),
        (np.timedelta64(1500, "ms"), "PT1.5S"),
        ([date(2024, 5, 6), datetime(2024, 5, 6, 7, tzinfo=UTC)], ["2024-05-06", "2024-05-06T07:00:00+00:00"]),
        (timedelta(seconds=2), "PT2S"),
        ({3, 1}, [1, 3]),
        (pd.Series([1.0, None]), [1.0, None]),
        ([pd.NaT, pd.NA, pd.Timestamp("2024-05-06")], [None, None, "2024-05-06T00:00:00"]),
        (pd.DataFrame({"a": [1, 2]}).to_dict(), {"a": {"0": 1, "1": 2}}),
    ],
    ids=repr,
)
def test_a_result_becomes_json(result: Any, item: Any) -> None:
    assert output(result, refuse) == item


def test_bytes_at_any_depth_are_stored_under_their_name() -> None:
    stored: list[tuple[bytes, str]] = []

    def store(content: bytes, name: str) -> dict[str, int]:
        stored.append((content, name))
        return {"$artifact": len(stored)}

    assert output(bytearray(b"a"), store) == {"$artifact": 1}
    assert output({"plots": [b"b", memoryview(b"c")]}, store) == {"plots": [{"$artifact": 2}, {"$artifact": 3}]}
    assert stored == [(b"a", "output.bin"), (b"b", "plots.bin"), (b"c", "plots.bin")]


@pytest.mark.parametrize(
    ("result", "place"), [({"a": [object()]}, r"\$\.a\[0\]"), ({(1, 2): 3}, r"\$"), (pd.DataFrame(), r"\$")]
)
def test_anything_else_is_refused_with_its_place(result: Any, place: str) -> None:
    with pytest.raises(InvalidOutput, match=place):
        output(result, refuse)


def test_a_result_that_contains_itself_is_refused() -> None:
    result: list[Any] = []
    result.append(result)
    with pytest.raises(InvalidOutput, match="contains itself"):
        output(result, refuse)
