"""What the published client really sent is answered as it reads it."""

from __future__ import annotations

import pytest

from dialects.heat.replay import BARE, ENVELOPED, MISSING, Entry, Replayer
from dialects.heat.served import Served

SERVED = (
    "/api/datasources",
    "/api/projects",
    "/api/sessiontemplates",
    "/api/session-templates",
    "/api/nodetemplates",
    "/api/runnertypes",
    "/api/config",
)


def of_documents(entry: Entry) -> bool:
    return entry.path.startswith(SERVED)


@pytest.fixture
async def replayed(either: Served) -> Replayer:
    replayer = Replayer(either)
    await replayer.play(of_documents)
    return replayer


async def test_every_recorded_request_is_answered(replayed: Replayer) -> None:
    wrong = [
        (entry, answered.status)
        for entry, answered in replayed.told
        if not (answered.status < 300 or (answered.status == 404 and entry.case in MISSING))
        if not entry.case.startswith("no token")
    ]
    assert wrong == []
    assert len(replayed.told) == 58


async def test_every_answer_has_the_shape_that_its_method_reads(replayed: Replayer) -> None:
    for entry, answered in replayed.told:
        enveloped = isinstance(answered.value, dict) and "template" in answered.value
        if answered.status >= 300 or answered.value is None:
            continue
        if entry.method in ENVELOPED:
            assert enveloped, entry
            assert answered.value["status"] is True
        elif entry.method in BARE:
            assert not enveloped, entry


async def test_answers_with_no_content_are_for_deletes_alone(replayed: Replayer) -> None:
    for entry, answered in replayed.told:
        assert (answered.status == 204) is (entry.verb == "DELETE"), entry
