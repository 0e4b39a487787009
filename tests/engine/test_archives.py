"""A run as one file: what comes back is what went out, and what was tampered with does not come in at all."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from engine.plant import NS, Plant, after, encoded, join, node
from engine.test_children import child
from stoker.core import archive, tar
from stoker.core.archive import Listed, Manifest
from stoker.core.graph import Limit, OnChange, Ref, RunInput
from stoker.core.keep_views import KeepSpec
from stoker.core.protocol import Log
from stoker.core.views import PublishRequest
from stoker.engine import importing
from stoker.engine.ports import CommitUnknown, Interrupted
from stoker.engine.retention import BETWEEN
from stoker.errors import Conflict, Invalid, NotFound, StokerError, Unavailable
from stoker.storage import shape

SQLITE = pytest.mark.parametrize("plant", ["sqlite"], indirect=True)  # the SQL of which runs on both elsewhere

MEGABYTE = 1024 * 1024
ELSEWHERE = "elsewhere"
OF_RUNS = sorted({table.name for table in shape.newest() if "run" in table.columns} | {"run"})

Files = dict[str, bytes]


async def exported(plant: Plant, run: int) -> bytes:
    return b"".join([piece async for piece in plant.engine.exporting.stream(NS, run)])


async def imported(plant: Plant, body: bytes, namespace: str = NS) -> int:
    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 10_000):
            yield body[at : at + 10_000]

    return (await plant.engine.importing.bring(namespace, chunks())).id


async def upload(plant: Plant, content: bytes) -> int:
    async def chunks() -> AsyncIterator[bytes]:
        yield content

    return (await plant.engine.artifacts.put(NS, "a name", "text/plain", chunks())).id


def files(body: bytes) -> Files:
    """What other programs read in an archive."""
    with tarfile.open(fileobj=io.BytesIO(body)) as found:
        return {each.name: found.extractfile(each).read() for each in found}  # type: ignore[union-attr]  # all are files


def packed(content: Files, *, listed: bool = True) -> bytes:
    """An archive of these; `listed`: with a manifest that agrees."""
    if listed:
        names = [name for name in content if name != archive.MANIFEST]
        manifest = Manifest([Listed(name, len(content[name]), _sha(content[name])) for name in names])
        content = {name: content[name] for name in names} | {archive.MANIFEST: msgspec.json.encode(manifest)}
    parts = (tar.header(name, len(body)) + body + tar.padding(len(body)) for name, body in content.items())
    return b"".join(parts) + tar.END


def _sha(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


async def rich(plant: Plant) -> int:
    """A run with something of everything."""
    file = await upload(plant, b"a file")
    await plant.push(
        node("a", kind="many"), node("b", after("a")), node("c", join("b", anchor="a", policy="all_done")),
        inputs=["x"], result=Ref(node="c"),
    )  # fmt: skip
    run = await plant.trigger(inputs={"x": {"$artifact": file}}, store={"s": encoded(1)}, tags={"t": "v"})
    hand = plant.hand()
    (task,) = await hand.claim()
    await hand.report(Log(task=task.task, attempt=task.attempt, seq=0, text="said"))
    await hand.complete(task, items=[1, 2])
    bad, good = await hand.claim(2)
    await hand.fail(bad, "it broke")
    await hand.complete(good, {"big": "x" * MEGABYTE, "file": {"$artifact": file}})
    await hand.complete(*await hand.claim(), {"file": {"$artifact": file}})
    await plant.engine.runs.retry(NS, run, rerun_below=True)
    for value in (2, {"file": {"$artifact": file}, "late": 1}):
        for each in await hand.claim(2):
            await hand.complete(each, value)
    assert (await plant.run(run)).state == "SUCCEEDED"
    return run


async def picture(plant: Plant, run: int, namespace: str = NS) -> Any:
    """All that the views say of a run, without ids."""
    views = plant.engine.views
    seen = await views.run(namespace, run)
    tasks = (await views.tasks(namespace, run, limit=1_000, after=None)).items
    past = (await views.tasks(namespace, run, limit=1_000, after=None, past=True)).items
    attempts = [[each async for each in _attempts(plant, namespace, task.id)] for task in (*tasks, *past)]
    logs = (await plant.engine.logs.page(namespace, run=run, task=None, limit=100, after=0)).items
    gone = {
        "id",
        "run",
        "task",
        "session",
        "cursor",
        "namespace",
        "idempotency_key",
        "imported",
        "token",
        "expires_at",
        "output",
        "trace",
    }

    def plain(value: Any) -> Any:
        match value:
            case dict():
                return {name: plain(each) for name, each in value.items() if name not in gone}
            case list():
                return [plain(each) for each in value]
            case _:
                return value

    return plain(msgspec.to_builtins([seen, tasks, past, attempts, logs]))


async def _attempts(plant: Plant, namespace: str, task: int) -> AsyncIterator[Any]:
    for each in await plant.engine.views.attempts(namespace, task):
        yield each


async def rows(plant: Plant) -> dict[str, int]:
    return {table: (await plant.sql(f"SELECT COUNT(*) FROM {table}"))[0][0] for table in (*OF_RUNS, "artifact")}


# --- there and back ---


async def test_what_comes_back_is_what_went_out(plant: Plant) -> None:
    run = await rich(plant)
    body = await exported(plant, run)
    again = await imported(plant, body)
    assert again != run
    assert await picture(plant, again) == await picture(plant, run)
    assert (await plant.run(again)).imported == f"run {run} of the namespace 'default' elsewhere"
    result, was = await plant.result(again), await plant.result(run)
    assert result["late"] == was["late"]
    assert result["file"] != was["file"]
    view = await plant.engine.artifacts.get(NS, result["file"]["$artifact"])
    assert [piece async for piece in plant.engine.artifacts.read(view, 0, view.size)] == [b"a file"]
    out, back = files(body), files(await exported(plant, again))
    assert [name for name in out if "bytes" not in name] == [name for name in back if "bytes" not in name]
    assert len(out) == len(back), "a value with a handle has other bytes, since its file has another id"
    assert [row[0] for row in await plant.sql("SELECT COUNT(*) FROM version")] == [1]


@SQLITE
async def test_a_namespace_without_the_graph_gets_a_copy_that_nobody_can_run(plant: Plant) -> None:
    await plant.push(node("a", limit=Limit("often", most=1)))
    run = await plant.trigger()
    hand = plant.hand()
    await hand.complete(*await hand.claim())
    again = await imported(plant, await exported(plant, run), ELSEWHERE)
    assert await picture(plant, again, ELSEWHERE) == await picture(plant, run)
    assert [
        each.id for each in (await plant.engine.views.runs(ELSEWHERE, limit=9, after=None, graph="sample")).items
    ] == [again]
    assert (await plant.engine.catalog.graphs(ELSEWHERE, 9, None)).items == []
    with pytest.raises(NotFound, match="has not got"):
        await plant.engine.catalog.version(ELSEWHERE, "sample", None)
    await plant.restart()
    assert await picture(plant, again, ELSEWHERE) == await picture(plant, run)


async def test_a_tree_comes_back_as_one(plant: Plant) -> None:
    await plant.push(node("inside"), name="inner")
    await plant.push(child("c"), name="outer")
    run = await plant.trigger("outer")
    hand = plant.hand()
    await hand.complete(*await hand.claim())
    again = await imported(plant, await exported(plant, run))
    (task,) = await plant.tasks(again)
    below = (await plant.task(task.id)).child
    assert below is not None
    assert (await plant.run(below)).root == again
    with pytest.raises(Conflict, match="exported with it"):
        await exported(plant, below)


async def test_a_live_run_comes_back_with_its_outputs(plant: Plant) -> None:
    await plant.push(
        node("a", OnChange(of=("x",)), bind={"x": RunInput(name="x")}), inputs=["x"], mode="live", name="alive"
    )
    run = await plant.trigger("alive", inputs={"x": 1})
    await plant.engine.live.publish(NS, run, "a", PublishRequest(value=encoded(7)))
    await plant.engine.runs.cancel(NS, run)
    await plant.tick()
    again = await imported(plant, await exported(plant, run))
    seen = await plant.engine.live.outputs(NS, again, node="a", current=False, limit=9, after=None)
    assert len(seen.items) == 1
    assert await picture(plant, again) == await picture(plant, run)


@SQLITE
async def test_a_run_that_was_brought_is_only_looked_at(plant: Plant) -> None:
    await plant.push(node("a"))
    run = await plant.trigger()
    hand = plant.hand()
    await hand.fail(*await hand.claim())
    again = await imported(plant, await exported(plant, run))
    (task,) = await plant.tasks(again)
    for call in (plant.engine.runs.retry(NS, again), plant.engine.runs.retry_task(NS, task.id)):
        with pytest.raises(Conflict, match="is only looked at"):
            await call
    assert (await plant.run(again)).state == "FAILED"


@SQLITE
async def test_what_still_runs_or_is_not_there_is_not_exported(plant: Plant) -> None:
    await plant.push(node("a"))
    run = await plant.trigger()
    with pytest.raises(Conflict, match="still running"):
        await exported(plant, run)
    with pytest.raises(NotFound):
        await exported(plant, 99)


async def test_it_is_deleted_as_any_run_but_not_for_its_age_elsewhere(plant: Plant) -> None:
    run = await rich(plant)
    body = await exported(plant, run)
    plant.clock.advance(86_400 * 10)
    again = await imported(plant, body)
    await plant.engine.retention.put(NS, KeepSpec(age="5d", count=0))
    await plant.tick()
    assert [each.id for each in (await plant.engine.views.runs(NS, limit=9, after=None)).items] == [again]
    await plant.pass_time(86_400 * 6)
    left = await rows(plant)
    assert {table: count for table, count in left.items() if count and table != "artifact"} == {}


# --- what is wrong ---


def _row(table: str, column: str, value: Any) -> Callable[[Files], None]:
    def change(content: Files) -> None:
        name = next(name for name in content if name.startswith(f"tables/{table}/"))
        found = msgspec.json.decode(content[name])
        found[0][list(archive.TABLES[table]).index(column)] = value
        content[name] = msgspec.json.encode(found)

    return change


def _twice(table: str) -> Callable[[Files], None]:
    def change(content: Files) -> None:
        name = next(name for name in content if name.startswith(f"tables/{table}/"))
        found = msgspec.json.decode(content[name])
        content[name] = msgspec.json.encode([*found, found[0]])

    return change


def _add(name: str, body: bytes) -> Callable[[Files], None]:
    return lambda content: content.update({name: body})


def _without(part: str) -> Callable[[Files], None]:
    def change(content: Files) -> None:
        for name in [name for name in content if part in name]:
            del content[name]

    return change


def _first_last(content: Files) -> None:
    content[archive.HEAD] = content.pop(archive.HEAD)


TAMPERED: list[tuple[Callable[[Files], None], str]] = [
    (_row("run", "state", 1), "has not ended"),
    (_row("run", "state", 9), "has not ended"),
    (_row("run", "root", 77), "top of its tree"),
    (_row("run", "created_at", 2**60), "a time that is none"),
    (_row("run", "version", 77), "77"),
    (_row("task", "state", 1), "is not settled"),
    (_row("task", "node", 9), "a node that the graph has not got"),
    (_row("task", "run", 77), "77"),
    (_row("task", "id", 2**70), "cannot be read"),
    (_row("task", "branch", "AAk="), "a branch that is none"),
    (_row("task", "ended", 99), "ended as none does"),
    (_row("item", "body", "bm8="), "truncated"),
    (_row("log", "text", "a\0b"), "has a NUL"),
    (_row("attempt", "task", 77), "77"),
    (_twice("item"), "have one place"),
    (_twice("task"), "have one place"),
    (_twice("run"), "is there twice|exactly one run"),
    (_row("version", "spec", "{}"), "required|missing"),
    (_row("version", "hash", "0"), "hash"),
    (_row("artifact", "media_type", "text/plain\r\nX-Evil: 1"), "may be called"),
    (_row("artifact", "sha256", "0" * 64), "are not in it"),
    (_row("past_task", "body", "AAAA"), "Expected|expected"),
    (_row("join_row", "state", 9), "as none is"),
    (_without("bytes/"), "are not in it"),
    (_without("tables/version"), "1"),
    (_add("../../etc/passwd", b"x"), "does not belong there"),
    (_add("/etc/passwd", b"x"), "does not belong there"),
    (_add("tables/token/000001.json", b"[]"), "does not belong there"),
    (_add("bytes/" + "0" * 64, b"x"), "another SHA-256"),
    (_first_last, "it begins with"),
]


@SQLITE
async def test_what_was_tampered_with_does_not_come_in_at_all(plant: Plant) -> None:
    """Each change has a manifest that agrees with it."""
    body = await exported(plant, await rich(plant))
    before = await rows(plant)
    for change, wrong in TAMPERED:
        content = files(body)
        change(content)
        with pytest.raises(Invalid, match=wrong) as raised:
            raise AssertionError(f"{wrong}: it came in as run {await imported(plant, packed(content))}")
        assert raised.value.code == "bad_archive"
    assert await rows(plant) == before
    assert not list((plant.data / "artifacts" / "incoming").iterdir())


def _link(name: str) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return info.tobuf(tarfile.GNU_FORMAT)


@SQLITE
async def test_what_is_no_archive_or_not_whole_is_refused(plant: Plant) -> None:
    body = await exported(plant, await rich(plant))
    before = await rows(plant)
    broken = bytearray(body)
    broken[len(body) // 2] ^= 1
    content = files(body)
    unlisted = packed(content | {"bytes/" + _sha(b"more"): b"more"}, listed=False)
    huge = tar.header(archive.HEAD, 2**40) + bytes(512)
    for wrong in (
        b"", b"PK\x03\x04" * 200, body[:-2_000], body[: len(body) // 2], bytes(broken), unlisted, body[:-1024] + body,
        _link(archive.HEAD), body[:-1024] + _link("tables/task/000001.json"), huge,
    ):  # fmt: skip
        with pytest.raises(Invalid):
            await imported(plant, wrong)
    assert await rows(plant) == before


# --- whatever happens meanwhile ---


async def test_an_import_that_dies_is_cleared_away(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    body = await exported(plant, await rich(plant))
    before = await rows(plant)
    real = importing.Importing._put

    async def dying(self: Any, root: int, query: str, rows: Any) -> None:
        if query == "import_log":
            raise Unavailable("the server died")
        await real(self, root, query, rows)

    monkeypatch.setattr(importing.Importing, "_put", dying)
    with pytest.raises(Unavailable):
        await imported(plant, body)
    assert (await rows(plant))["task"] > before["task"]
    assert len((await plant.engine.views.runs(NS, limit=9, after=None)).items) == 1
    await plant.tick()
    assert (await rows(plant))["task"] > before["task"], "it might still go on"
    await plant.pass_time(max(121.0, BETWEEN / 1e6))
    assert {**await rows(plant), "artifact": 0} == {**before, "artifact": 0}


@SQLITE
async def test_who_was_given_up_puts_nothing_down_any_more(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    body = await exported(plant, await rich(plant))
    before = await rows(plant)
    real = importing.Importing._put

    async def slow(self: Any, root: int, query: str, rows: Any) -> None:
        if query == "import_log":
            await plant.pass_time(max(121.0, BETWEEN / 1e6))
        await real(self, root, query, rows)

    monkeypatch.setattr(importing.Importing, "_put", slow)
    with pytest.raises(StokerError, match="was given up meanwhile"):
        await imported(plant, body)
    await plant.pass_time(BETWEEN / 1e6)
    assert {**await rows(plant), "artifact": 0} == {**before, "artifact": 0}


@SQLITE
async def test_at_every_transaction_it_is_done_or_cleared_away(plant: Plant) -> None:
    """`tests/proofs` attacks calls of one transaction; here a broken one leaves rows, which time clears away."""
    await plant.push(node("inside"), name="inner")
    await plant.push(child("c"), name="outer")
    run = await plant.trigger("outer")
    hand = plant.hand()
    await hand.complete(*await hand.claim())
    body = await exported(plant, run)
    await imported(plant, body, ELSEWHERE)  # its graph is there
    before = await rows(plant)
    fault: list[Exception] = []
    seen: list[str] = []

    async def seam(real: Any, work: Any) -> Any:
        name = getattr(work, "__qualname__", "")
        if name.startswith("Importing."):
            seen.append(name)
            if fault and len(seen) == at:
                raise fault.pop()
        return await real(work)

    plant.seam(seam)
    at = 0
    await imported(plant, body, ELSEWHERE)
    steps, once = len(seen), await rows(plant)
    assert {name.split(".")[1] for name in seen} == {"_version", "_begin", "_put", "_show_children", "_show"}
    for error in (Interrupted("the line went dead"), CommitUnknown("it went dead"), Unavailable("away")):
        for at in range(1, steps + 1):
            seen, fault = [], [error]
            expected = once if isinstance(error, Interrupted) else before
            if isinstance(error, Interrupted):
                await plant.engine.retention._erasing.hide([await imported(plant, body, ELSEWHERE)])
            else:
                with pytest.raises(Unavailable):
                    await imported(plant, body, ELSEWHERE)
            await plant.pass_time(max(121.0, BETWEEN / 1e6))
            found = await rows(plant)
            assert {**found, "artifact": 0} in ({**expected, "artifact": 0}, {**once, "artifact": 0}), (error, at)
