"""Nodes as users write them, served by a runner."""

from __future__ import annotations

import os

import msgspec

from runner.authored import Length, keep, pipeline, shout, split
from runner.fakes import FakeServer, completed, failed
from stoker.core.protocol import Complete
from stoker.runner.runner import Runner


def test_authored_nodes_are_served_in_every_form() -> None:
    server = FakeServer()
    with Runner([split, shout, Length, pipeline], transport=server, grace=0):
        assert [kind.name for kind in server.kinds] == ["split", "shout", "Length", "keep"]
        words = server.outcome(server.offer("split", text="a b"))
        assert isinstance(words, Complete)
        assert [msgspec.json.decode(item.value) for item in words.items] == ["a", "b"]
        loud = server.offer("shout", word="hi")
        said = completed(server.outcome(loud))
        assert said["word"] == "HI"
        assert said["process"] != os.getpid()
        assert server.text(loud) == "shouting hi\n"
        handle = completed(server.outcome(server.offer("keep", text="four")))
        assert server.artifacts[handle["$artifact"]] == b"four"
        assert completed(server.outcome(server.offer("Length", source=handle))) == {"length": 4}


def test_a_wrong_input_fails_for_good_and_names_it() -> None:
    server = FakeServer()
    with Runner([keep], transport=server, grace=0):
        report = failed(server.outcome(server.offer("keep", text=3)))
    assert (report.error.code, report.retryable) == ("invalid_input", False)
    assert "text" in report.error.message
    assert report.error.traceback == ""  # it would only repeat the message
