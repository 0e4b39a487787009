"""Manifests from the command line: kept, verified, and two runs compared."""

from __future__ import annotations

import json
from pathlib import Path

from cli.conftest import Stoker
from stoker.bootstrap.embedded import Embedded


def test_a_manifest_is_kept_and_a_run_verified_against_it(
    stoker: Stoker, server: Embedded, pipeline: Path, folder: Path
) -> None:
    from stoker.cli.load import load

    loaded = load(pipeline)
    with server.runner(loaded.nodes), server.client() as client:
        runs = [client.trigger(loaded.graphs["shares"], x=7, by=by) for by in (2, 2, 3)]
        for run in runs:
            run.wait(60)
    one, same, other = (str(run.id) for run in runs)
    printed = stoker("runs", "manifest", one)
    kept = folder / "kept.jsonl"
    kept.write_text(printed.out)
    assert printed.code == 0, printed.err
    lines = [json.loads(line) for line in printed.out.splitlines()]
    assert [line.get("node") for line in lines] == [None, "halves", "divide", "divide", "total", None]
    fits = stoker("runs", "verify", one, str(kept))
    assert (fits.code, fits.out) == (0, f"run {one} fits: 4 tasks, 4 items\nmanifest {lines[-1]['hash']}\n")
    assert stoker("runs", "verify", one, "-o", "json").json["fits"]
    other_run = stoker("runs", "verify", same, str(kept))
    assert (other_run.code, f"is of run {one}, not of run {same}" in other_run.err) == (1, True)
    kept.write_text(printed.out.replace('"total"', '"totaL"', 1))
    assert "the manifest itself does not hold: line 1" in stoker("runs", "verify", one, str(kept)).err
    away = stoker("runs", "verify", one, "nowhere")
    assert (away.code, "cannot be read" in away.err) == (2, True)
    assert stoker("runs", "diff", one, same).out == f"runs {one} and {same} are the same in 4 tasks\n"
    parted = stoker("runs", "diff", one, other)
    assert (parted.code, parted.out.splitlines()[:2]) == (
        1,
        ["other inputs: by", "they part at divide at halves[0]: other inputs of the run"],
    )
    assert parted.out.splitlines()[-1] == (
        "of 4 tasks, these part: 2 (other inputs of the run), 1 (what came before is other)"
    )
