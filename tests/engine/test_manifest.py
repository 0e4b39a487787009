"""Manifests: what a run was made of, in a chain; tampering with any row or file is found; two runs are told apart."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from engine.plant import KINDS, NS, Hand, Plant, after, completion, encoded, failure, join, node, run_input
from engine.test_fork import LOOPED
from stoker.core.fork_views import ForkRequest
from stoker.core.graph import Element, OnChange, Ref, RunInput
from stoker.core.manifest import broken, canonical
from stoker.core.manifest_views import DiffAnswer, VerifyAnswer
from stoker.core.model import PAYLOAD_INLINE
from stoker.core.protocol import Assignment
from stoker.errors import Conflict, Invalid, StokerError
from stoker.runner.manifests import compared, sound

LARGE = "x" * (PAYLOAD_INLINE + 1)
NODES = (
    node("s", bind={"n": run_input("n"), "file": run_input("file")}),
    node("m", after("s", ()), bind={"x": Element(of="s")}, tolerated=True),
    node("j", join("m"), bind={"all": Ref(node="m", many=True)}),
    node("k", join("j"), bind={"j": Ref(node="j")}),
)

# what follows from decisions alone is the same on every database, and is shown on one
on_one = pytest.mark.parametrize("plant", ["sqlite"], indirect=True)


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def stored(plant: Plant, text: bytes, name: str = "data.csv") -> dict[str, int]:
    view = await plant.engine.artifacts.put(NS, name, "text/csv", pieces(text))
    return {"$artifact": view.id}


async def ran(plant: Plant, inputs: Any, outcomes: dict[str, Any], kinds: Any = KINDS) -> int:
    """A run in which each task gives what is said for it (a string that begins with ! fails it), else its name."""
    await plant.push(*NODES, kinds=kinds, inputs=["n", "file"], result=Ref(node="k"))
    run, hand = await plant.trigger(inputs=inputs, store={"key": encoded("kept")}), plant.hand()
    await worked(hand, outcomes)
    return run


async def worked(hand: Hand, outcomes: dict[str, Any]) -> None:
    while tasks := await hand.claim(1):
        hand.plant.clock.advance(1)
        await hand.report(_report(tasks[0], outcomes))


def _report(task: Assignment, outcomes: dict[str, Any]) -> Any:
    name = task.node + task.branch
    value = outcomes.get(name, ["a", "b"] if task.node == "s" else name)
    return failure(task, value) if isinstance(value, str) and value.startswith("!") else completion(task, value)


async def lines(plant: Plant, run: int) -> list[bytes]:
    return [line async for line in await plant.engine.manifests.lines(NS, run)]


async def verified(plant: Plant, run: int, kept: list[bytes] | None = None) -> VerifyAnswer:
    answer = await plant.engine.verifying.verify(NS, run)
    if kept is None or not answer.fits:
        return answer
    return compared(answer, sound(b"".join(kept), run), b"".join(await lines(plant, run)))


async def rich(plant: Plant) -> int:
    """A run with a file, a large item, a failure that was retried, and a past."""
    inputs = {"n": 1, "file": await stored(plant, b"1,2,3")}
    given = {"s": ["a", await stored(plant, b"4,5")], "ms[1]": "!broken", "j": LARGE}
    run = await ran(plant, inputs, given)
    (bad,) = [task.id for task in await plant.tasks(run, "m") if task.state == "FAILED"]
    await plant.engine.runs.retry_task(NS, bad, rerun_below=True)
    await worked(plant.hand(), {"j": LARGE, "k": "done"})
    assert await plant.result(run) == "done"
    return run


async def test_a_manifest_is_a_chain_of_canonical_lines_that_anybody_can_check(plant: Plant) -> None:
    run = await rich(plant)
    found = await lines(plant, run)
    assert found == await lines(plant, run)
    assert broken(found) == ""
    before = ""
    for line in found:
        body = json.loads(line)
        digest = body.pop("hash")
        assert body["before"] == before
        plain = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        assert sha256(plain).hexdigest() == digest
        before = digest
    head, *tasks, foot = map(json.loads, found)
    assert (head["run"], head["graph"], head["state"], foot["tasks"]) == (run, "sample", "SUCCEEDED", len(tasks))
    assert [(task["node"], task["branch"], task.get("past", False)) for task in tasks] == [
        ("s", "", False),
        ("m", "s[0]", False),
        ("m", "s[1]", False),
        ("j", "", False),
        ("j", "", True),
        ("k", "", False),
        ("k", "", True),
    ]
    assert tasks[0]["input"]["files"][0]["sha256"] == sha256(b"1,2,3").hexdigest()
    assert tasks[3]["items"][0]["sha256"] == sha256(canonical(LARGE)).hexdigest()
    assert [(each["attempt"], each["message"]) for each in tasks[2]["attempts"]] == [(1, "!broken")]
    assert (await verified(plant, run, found)) == VerifyAnswer(fits=True, tasks=7, items=5, files=4, hash=foot["hash"])


COPY = "INSERT INTO item (run, node, branch, item, size, body)"
TAMPERED = {
    "the body of an item": ("UPDATE item SET body = ? WHERE run = ? AND node = 3", [b'"dona"'], r"since .* items "),
    "the size of an item": ("UPDATE item SET size = size + 1 WHERE run = ? AND node = 3", [], "bytes, and had"),
    "an item that is gone": ("DELETE FROM item WHERE run = ? AND node = 0", [], "cannot be read|has 0 items"),
    "an item too many": (
        f"{COPY} SELECT run, 3, branch, 1, size, body FROM item WHERE run = ? AND node = 3",
        [],
        "has 2 items",
    ),
    "an item of nobody": (
        f"{COPY} SELECT run, 9, branch, 1, size, body FROM item WHERE run = ? AND node = 3",
        [],
        "of which its tasks gave 5",
    ),
    "an item of the past": ("UPDATE past_item SET body = ? WHERE run = ? AND node = 3", [b'"old"'], "since .* items "),
    "the state of a task": (
        "UPDATE task SET state = 5 WHERE run = ? AND node = 3",
        [],
        "of which its tasks gave 4",
    ),
    "the attempt of a task": ("UPDATE task SET attempt = 9 WHERE run = ? AND node = 0", [], "attempt 1 is now 9"),
    "the time of a task": ("UPDATE task SET settled_at = 5 WHERE run = ? AND node = 0", [], "settled_at"),
    "what made a task": ("UPDATE task SET parent = 999 WHERE run = ? AND node = 1", [], "does not stand below"),
    "a task that is gone": ("DELETE FROM task WHERE run = ? AND node = 3", [], "counts 5 tasks, and has 4"),
    "a task of the past": ("DELETE FROM past_task WHERE run = ? AND node = 3", [], "is gone"),
    "a join": ("UPDATE join_row SET arrived = arrived + 1 WHERE run = ? AND node = 2", [], "its counters are"),
    "a join that is gone": ("DELETE FROM join_row WHERE run = ? AND node = 2", [], "row of a join is missing"),
    "a count": ("UPDATE node_count SET succeeded = 7 WHERE run = ? AND node = 1", [], "its counts are"),
    "the tasks of the run": ("UPDATE run SET tasks = 9 WHERE id = ?", [], "counts 9 tasks, and has 5"),
    "the failures of the run": ("UPDATE run SET failed = 1 WHERE id = ?", [], "counts 1 failures"),
    "the state of the run": ("UPDATE run SET state = 3 WHERE id = ?", [], "it is FAILED, with 0 failures"),
    "the end of the run": ("UPDATE run SET ended_at = 5 WHERE id = ?", [], "since .* ended_at"),
    "an input": ("UPDATE run_input SET body = ? WHERE run = ?", [b'{"n":2,"file":null}'], "since the manifest"),
    "inputs that do not fit": ("UPDATE run_input SET body = ? WHERE run = ?", [b'{"nope":2}'], "no such input"),
    "the store": ("UPDATE run_store SET body = ? WHERE run = ?", [b'{"key":"other"}'], "since .* store"),
    "an attempt": ("UPDATE attempt SET message = 'fine' WHERE run = ?", [], "since .* attempts"),
    "the graph": ("UPDATE version SET spec = REPLACE(spec, 'tolerated', 'tolerateD') ", [], "not those of"),
    "the kinds": ("UPDATE version SET kinds = '[]' ", [], "not those of its hash"),
    "the digest of a file": ("UPDATE artifact SET sha256 = blob || '' , size = 4 ", [], "are not the 4 of"),
}


async def test_a_row_that_was_tampered_with_is_found_and_named(plant: Plant) -> None:
    run = await rich(plant)
    kept = await lines(plant, run)
    for what, (statement, values, message) in TAMPERED.items():
        table = statement.split()[2 if statement.startswith(("DELETE", "INSERT")) else 1]
        rows = await plant.sql(f"SELECT * FROM {table}")
        await plant.sql(statement, *([*values, run] if "?" in statement else []))
        answer = await verified(plant, run, kept)
        assert not answer.fits, what
        assert answer.place, what
        assert re.search(message, answer.fault), (what, answer.place, answer.fault)
        await put_back(plant, table, rows)
    assert (await verified(plant, run, kept)).fits


async def put_back(plant: Plant, table: str, rows: list[Any]) -> None:
    await plant.sql(f"DELETE FROM {table}")
    for row in rows:
        places = ", ".join("?" * len(row))
        await plant.sql(f"INSERT INTO {table} VALUES ({places})", *row)


@on_one
async def test_a_file_that_was_tampered_with_is_found_and_named(plant: Plant) -> None:
    run = await rich(plant)
    for body, place in ((b"1,2,3", "artifacts/1"), (b"4,5", "artifacts/2"), (canonical(LARGE), "")):
        path = file_of(plant.data, sha256(body).hexdigest())
        path.chmod(0o600)
        for tampered in (None, body + b"6", b"{" + body[1:], body[:-1] + b"?"):
            path.unlink() if tampered is None else path.write_bytes(tampered)
            answer = await verified(plant, run)
            assert not answer.fits
            assert place in answer.place
            path.write_bytes(body)
    assert (await verified(plant, run)).fits


def file_of(data: Path, digest: str) -> Path:
    (path,) = [path for path in (data / "artifacts").rglob(digest) if path.is_file()]
    return path


@on_one
async def test_a_manifest_that_was_changed_itself_is_not_believed(plant: Plant) -> None:
    run = await rich(plant)
    kept = await lines(plant, run)
    for wrong, message in (
        ([*kept[:2], kept[2].replace(b'"m"', b'"M"'), *kept[3:]], "line 3 "),
        ([*kept[:2], *kept[3:]], "line 3 .* was changed, or a line before it is missing"),
        (kept[:-1], "before its end"),
        ([b"nonsense"], "line 1 is not a line of a manifest"),
        ([], "ends with line 0"),
    ):
        with pytest.raises(Invalid, match=message):
            sound(b"".join(wrong), run)
    with pytest.raises(Invalid, match="is of run"):
        sound(b"".join(kept), run + 1)


@on_one
async def test_only_a_run_that_has_ended_has_a_manifest(plant: Plant) -> None:
    await plant.push(node("a"))
    run = await plant.trigger()
    live = node("x", OnChange(of=("i",)), bind={"i": RunInput(name="i")})
    await plant.push(live, name="live", inputs=["i"], mode="live")
    alive = await plant.trigger("live", inputs={"i": 1})
    for each, code in ((run, "still_running"), (alive, "live_run"), (999, "no_run")):
        with pytest.raises(StokerError) as caught:
            await plant.engine.manifests.lines(NS, each)
        assert caught.value.code == code
    await plant.engine.runs.cancel(NS, run)
    await plant.tick()
    assert (await verified(plant, run, await lines(plant, run))).fits


@on_one
async def test_a_fork_has_a_manifest_that_names_its_origin(plant: Plant) -> None:
    run = await rich(plant)
    fork = (await plant.engine.forks.fork(NS, run, ForkRequest(from_="k"))).run
    assert fork is not None
    await worked(plant.hand(), {"k": "done"})
    assert json.loads((await lines(plant, fork))[0])["fork"] == run
    assert (await verified(plant, fork)).fits
    assert (await differing(plant, run, fork)).same


# --- differences ---

PLAIN = {"n": 1, "file": None}


async def differing(plant: Plant, left: int, right: int) -> DiffAnswer:
    return await plant.engine.differing.diff(NS, left, right)


@on_one
async def test_runs_of_the_same_values_are_the_same_whatever_the_ids_of_their_files(plant: Plant) -> None:
    runs = []
    for _ in range(2):
        inputs = {"n": 1, "file": await stored(plant, b"1,2,3")}
        runs.append(await ran(plant, inputs, {"ms[0]": await stored(plant, b"4,5")}))
    answer = await differing(plant, *runs)
    assert (answer.same, answer.tasks, answer.parted, answer.first) == (True, 5, {}, None)


CASES: dict[str, tuple[Any, dict[str, Any], str, str, str]] = {
    "inputs": ({"n": 2, "file": None}, {"s": ["a", "c"]}, "s", "", "inputs"),
    "nothing that is recorded": (PLAIN, {"ms[1]": "other"}, "m", "s[1]", "nondeterminism"),
    "a failure": (PLAIN, {"ms[1]": "!broken"}, "m", "s[1]", "failure"),
    "a wider list": (PLAIN, {"s": ["a", "b", "c"]}, "s", "", "nondeterminism"),
    "the last node": (PLAIN, {"k": "other"}, "k", "", "nondeterminism"),
}


@on_one
@pytest.mark.parametrize("case", CASES)
async def test_the_first_node_where_runs_part_is_named_with_the_reason(plant: Plant, case: str) -> None:
    inputs, outcomes, name, branch, why = CASES[case]
    left, right = await ran(plant, PLAIN, {}), await ran(plant, inputs, outcomes)
    answer = await differing(plant, left, right)
    assert answer.first is not None
    assert (answer.first.node, answer.first.branch, answer.first.why) == (name, branch, why)
    assert answer.inputs == (["n"] if case == "inputs" else [])
    assert (answer.same, answer.graphs) == (False, True)
    if case == "a failure":
        assert answer.first.right is not None
        assert (answer.first.right.state, answer.first.right.message) == ("FAILED", "!broken")
    if case == "a wider list":  # what follows from it is counted, and is not the first
        assert answer.parted["parents"] >= 1
    assert sum(answer.parted.values()) < answer.tasks or case == "inputs"


@on_one
async def test_other_code_is_the_reason_before_all_others(plant: Plant) -> None:
    left = await ran(plant, PLAIN, {})
    kinds = (replace(KINDS[0], source_hash="f" * 64), KINDS[1])
    right = await ran(plant, PLAIN, {"ms[0]": "other"}, kinds)
    answer = await differing(plant, left, right)
    assert answer.first is not None
    assert (answer.graphs, answer.first.node, answer.first.why) == (False, "m", "code")


@on_one
async def test_in_a_loop_the_round_that_began_it_is_named(plant: Plant) -> None:
    await plant.push(*LOOPED, inputs=["n"], result=Ref(node="z"))
    runs = []
    for step in (0, 0.5):
        run, hand = await plant.trigger(inputs={"n": 0}), plant.hand()
        while tasks := await hand.claim(1):
            given = msgspec.json.decode(bytes(tasks[0].input))["x"]
            await hand.complete(tasks[0], given + 1 + (step if tasks[0].branch == "l#2" else 0))
        runs.append(run)
    first = (await differing(plant, runs[0], runs[1])).first
    assert first is not None
    assert (first.node, first.branch, first.why) == ("b", "l#2", "nondeterminism")


@on_one
async def test_only_runs_that_have_ended_are_compared(plant: Plant) -> None:
    left = await ran(plant, PLAIN, {})
    right = await plant.trigger(inputs=PLAIN)
    with pytest.raises(Conflict, match="still running"):
        await differing(plant, left, right)
