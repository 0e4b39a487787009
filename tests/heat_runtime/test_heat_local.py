"""Local mode: programs as people start them, without a server."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest
from heat_programs import CSV, REFERENCE, SUMS, ran

SAYING = """
import json
from heat_runtime import BaseProcessor, HeatRuntime

class Saying(BaseProcessor):
    TEMPLATE_NAME = "saying"
    async def process(self, inputs, config):
        self.task.progress(0.5, "half")
        shown = {key: value.decode() for key, value in inputs.items()}
        return {"inputs": shown, "config": config, "runtime": type(self.runtime).__name__, "node": self.task.node}

class Other(BaseProcessor):
    TEMPLATE_NAME = "other"
    def process(self, inputs, config):
        return [float("nan"), b"\\x00raw"]

if __name__ == "__main__":
    HeatRuntime.register(Saying)
    HeatRuntime.register(Other)
    HeatRuntime().init()
    print("went on")
"""


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "data.csv"
    path.write_text(CSV)
    return path


@pytest.fixture
def saying(tmp_path: Path) -> Path:
    path = tmp_path / "saying.py"
    path.write_text(SAYING)
    return path


def printed(done: subprocess.CompletedProcess[str]) -> object:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[0])


def test_the_reference_program_is_the_one_that_the_contract_names() -> None:
    """Its bytes are fixed, hyphens of U+2011 too: no formatter may touch it."""
    digest = hashlib.sha256(REFERENCE.read_bytes()).hexdigest()
    assert digest == "0b31fb1c2da4c094b45e495813e0399b46cf190f0b7ab798327035adfdbb4b95"


def test_the_reference_program_sums_a_file(csv: Path, tmp_path: Path) -> None:
    done = ran(REFERENCE, "--input", f"file={csv}", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == '{"speed": 120.7, "altitude": 3412.0, "temperature": null}\n'


def test_a_single_input_of_any_name_is_the_file_too(csv: Path, tmp_path: Path) -> None:
    assert printed(ran(REFERENCE, f"--input=table={csv}", cwd=tmp_path)) == SUMS


def test_the_folder_inputs_is_taken_where_it_is(csv: Path, tmp_path: Path) -> None:
    (tmp_path / "inputs").mkdir()
    csv.rename(tmp_path / "inputs" / "data.csv")
    (tmp_path / "inputs" / ".hidden").write_text("not an input")
    assert printed(ran(REFERENCE, cwd=tmp_path)) == SUMS


def test_without_a_file_the_reference_program_fails_with_its_own_words(csv: Path, tmp_path: Path) -> None:
    done = ran(REFERENCE, "--input", f"a={csv}", "--input", f"b={csv}", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.endswith("ValueError: expected 'file' artefact in inputs\n")
    assert done.stdout == ""


def test_an_empty_folder_that_is_named_gives_no_inputs(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    done = ran(REFERENCE, "--inputs", "none", cwd=tmp_path)
    assert done.returncode == 1
    assert "expected 'file' artefact in inputs" in done.stderr


def test_without_inputs_it_shows_the_templates_and_how_to_use_it(saying: Path, tmp_path: Path) -> None:
    done = ran(saying, cwd=tmp_path)
    assert done.returncode == 0
    assert "registered templates: saying, other" in done.stdout
    assert "usage: python saying.py --input KEY=PATH" in done.stdout
    assert "STOKER_URL" in done.stdout


def test_config_and_template_are_chosen_and_init_returns(saying: Path, csv: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"depth": 3}')
    arguments = ("--input", f"data={csv}", "--config", "config.json", "--template", "saying")
    done = ran(saying, *arguments, "--mine", "kept", cwd=tmp_path)
    assert printed(done) == {
        "inputs": {"data": CSV, "file": CSV},
        "config": {"depth": 3},
        "runtime": "HeatRuntime",
        "node": "saying",
    }
    assert done.stdout.endswith("went on\n")
    assert done.stderr == "progress: 50% half\n"


def test_bytes_become_a_file_that_stays(saying: Path, csv: Path, tmp_path: Path) -> None:
    nothing, raw = printed(
        ran(saying, "--input", f"x={csv}", "--template", "other", cwd=tmp_path, TMPDIR=str(tmp_path))
    )
    assert nothing is None
    assert Path(raw["$file"]).read_bytes() == b"\x00raw"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--input", "data.csv"], "is not KEY=PATH"),
        (["--input"], "is not KEY=PATH"),
        (["--input", "file=gone.csv"], "there is no file 'gone.csv'"),
        (["--input", "file=data.csv", "--input", "file=data.csv"], "gives 'file' twice"),
        (["--inputs", "gone"], "there is no such folder"),
        (["--inputs", "twins"], "have the same key 'a'"),
        (["--input", "file=data.csv"], "Choose with --template: saying, other"),
        (["--input", "file=data.csv", "--template", "x"], "no processor is registered for the template 'x'"),
        (["--input", "file=data.csv", "--template", "saying", "--config", "data.csv"], "'data.csv' cannot be read"),
        (
            ["--input", "file=data.csv", "--template", "saying", "--config", "list.json"],
            "holds list, not a JSON object",
        ),
    ],
)
def test_a_wrong_command_line_exits_with_2_and_says_why(
    saying: Path, csv: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    (tmp_path / "twins").mkdir()
    (tmp_path / "twins" / "a.csv").write_text("1")
    (tmp_path / "twins" / "a.json").write_text("1")
    (tmp_path / "list.json").write_text("[]")
    done = ran(saying, *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stdout == ""


def test_heat_local_wins_over_a_cluster_and_a_server(csv: Path, tmp_path: Path) -> None:
    elsewhere = {"CORE_API_URL": "http://127.0.0.1:9", "STOKER_URL": "http://127.0.0.1:9", "HEAT_LOCAL": "1"}
    assert printed(ran(REFERENCE, "--input", f"file={csv}", cwd=tmp_path, **elsewhere)) == SUMS


def test_an_address_that_is_none_is_named(saying: Path, tmp_path: Path) -> None:
    done = ran(saying, cwd=tmp_path, CORE_API_URL="there")
    assert done.returncode == 1
    assert "CORE_API_URL='there' is no http(s) address" in done.stderr


def test_debug_mode_asks_the_server_even_where_local_mode_is_asked_for(saying: Path, tmp_path: Path) -> None:
    done = ran(saying, "--node", "0", cwd=tmp_path, HEAT_LOCAL="1", CORE_API_URL="http://127.0.0.1:9")
    assert done.returncode == 1
    assert "GET /api/nodes/0" in done.stderr


def test_importing_it_brings_no_pandas_no_server_no_cloud_and_no_network(tmp_path: Path) -> None:
    program = tmp_path / "weight.py"
    program.write_text(
        "import sys, heat_runtime\n"
        "light = set(sys.modules)\n"
        "import heat_runtime.serving, stoker.runner.runner\n"
        "heavy = {'pandas', 'numpy', 'starlette', 'uvicorn', 'apsw', 'boto3', 'botocore', 'azure'}\n"
        "ours = ('stoker.engine', 'stoker.api', 'stoker.storage', 'stoker.bootstrap')\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in heavy or name.startswith(ours)))\n"
        "print(sorted(light & {'aiohttp', 'pydantic'}))\n"
    )
    assert ran(program, cwd=tmp_path).stdout == "[]\n[]\n"
