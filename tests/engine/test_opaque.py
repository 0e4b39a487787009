"""The keys of opaque ids: made once, kept, rotated without breaking what was given out."""

from __future__ import annotations

from engine.plant import Plant


async def test_ids_hold_over_restarts_and_rotations(plant: Plant) -> None:
    await plant.engine.opaque.open()
    proof, uuid = plant.engine.opaque.mac("12-1"), plant.engine.opaque.uuid(7)
    await plant.restart()
    opaque = plant.engine.opaque
    await opaque.open()
    assert (opaque.mac("12-1"), opaque.uuid(7)) == (proof, uuid)
    assert await opaque.rotate() == 2
    assert opaque.mac("12-1") != proof
    assert opaque.uuid(7) != uuid
    for known in (uuid, opaque.uuid(7)):
        assert await opaque.run(known) == 7
    for known in (proof, opaque.mac("12-1")):
        assert await opaque.proves("12-1", known)
    assert not await opaque.proves("12-2", proof)
    assert await opaque.run("0b9c4a8e-55d2-4f0e-9a6d-2f4f3f1d7a10") is None
    assert [row[0] for row in await plant.sql("SELECT COUNT(*) FROM opaque_key")] == [2]


async def test_another_server_believes_what_was_signed_after_a_rotation(servers: tuple[Plant, Plant]) -> None:
    here, there = servers
    await here.engine.opaque.open()
    await there.engine.opaque.open()
    assert here.engine.opaque.uuid(7) == there.engine.opaque.uuid(7)
    await here.engine.opaque.rotate()
    made = here.engine.opaque.uuid(7)
    here.clock.advance(3)
    assert await there.engine.opaque.run(made) == 7
    reads = there.reads
    assert await there.engine.opaque.run("0b9c4a8e-55d2-4f0e-9a6d-2f4f3f1d7a10") is None
    assert there.reads == reads, "who guesses does not make the database work"
