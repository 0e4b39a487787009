"""The reference's example graph runs with the reference's complete runner."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from stoker.bootstrap.embedded import Embedded
from stoker.core import compile_live
from stoker.core.graph import GraphSpec, KindSpec, NodeSpec
from stoker.core.protocol import Assignment, ClaimRequest, ReportRequest

from .pages import ROOT, blocks

GRAPH = ROOT / "docs" / "reference" / "graph.md"
PROTOCOL = ROOT / "docs" / "reference" / "runner-protocol.md"


def only(page: Path, info: str) -> str:
    [block] = [block for block in blocks(page) if block.info == info]
    return block.text


def test_the_example_graph_runs_with_the_complete_runner(tmp_path: Path) -> None:
    (tmp_path / "runner.py").write_text(only(PROTOCOL, "python fragment"))
    with Embedded() as server, server.client() as client:
        pushed = post(server, "/v1/namespaces/default/graphs", only(GRAPH, "json"))
        assert (pushed["name"], pushed["version"], pushed["created"]) == ("measure", 1, True)
        environment = {**os.environ, "STOKER_URL": server.url, "STOKER_TOKEN": server.token}
        with subprocess.Popen([sys.executable, str(tmp_path / "runner.py")], env=environment) as runner:
            try:
                run = client.trigger("measure", text="so it goes")
                assert run.result(timeout=30) == {"report": "A text: 8 characters in 3 words"}
                large = client.trigger("measure", text="x" * 50_000 + " " + "y" * 50_000)  # comes by `input_url`
                assert large.result(timeout=30) == {"report": "A text: 100000 characters in 2 words"}
            finally:
                runner.send_signal(signal.SIGINT)
            assert runner.wait(timeout=30) == 0
        assert not any(one.connected for one in client.call(client.api.runners()))


def post(server: Embedded, path: str, body: str) -> Any:
    headers = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}
    request = urllib.request.Request(server.url + path, body.encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


@pytest.mark.parametrize("shape", [GraphSpec, NodeSpec, KindSpec])
def test_the_graph_reference_names_every_field(shape: type) -> None:
    page = GRAPH.read_text()
    assert [field for field in shape.__struct_fields__ if f"`{field}`" not in page] == []


@pytest.mark.parametrize("shape", [ClaimRequest, ReportRequest, Assignment])
def test_the_protocol_reference_names_every_field(shape: type) -> None:
    page = PROTOCOL.read_text()
    assert [field for field in shape.__struct_fields__ if f"`{field}`" not in page] == []


def test_the_graph_reference_names_every_refusal() -> None:
    core = "".join(file.read_text() for file in Path(compile_live.__file__).parent.glob("*.py"))
    codes = set(re.findall(r'self\.problem\(\s*"(\w+)"', core))
    codes |= set(re.findall(r'(?:_problem\(|code=)"(\w+)"', Path(compile_live.__file__).read_text()))
    page = GRAPH.read_text()
    assert len(codes) > 10
    assert [code for code in sorted(codes) if f"`{code}`" not in page] == []
