"""Real processes over a network that meddles, and a server that is stopped for a while: nothing is lost or doubled."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter

import stoker
from e2e import work
from e2e.meddler import FATES, Meddler
from e2e.site import Site, patiently, until
from e2e.test_kills import assert_settled_once

RUNS, WIDTH = 4, 25


def test_requests_and_answers_that_are_cut_lost_and_repeated_lose_and_double_nothing(site: Site) -> None:
    seed = random.randrange(2**32)
    with Meddler(site.url, seed) as meddler:
        site.url = meddler.url  # of the runners that are started now
        for name in ("first", "second"):
            site.start("runner", "start", str(work.__file__), "--name", name, "--workers", "2")
        client = stoker.Client(meddler.url, site.token)
        try:
            handles = [
                patiently(
                    lambda key=f"run-{number}": client.trigger(work.halves, idempotency_key=key, n=WIDTH, pause=0.02)
                )
                for number in range(RUNS)
            ]
            for handle in handles:
                assert patiently(lambda handle=handle: handle.result(60), 110) == sum(range(WIDTH)) / 2, f"seed {seed}"
        finally:
            client.close()
        meddler.meddling = False
        assert len(site.client.call(site.client.api.runs(limit=100)).items) == RUNS, f"seed {seed}"
        for handle in handles:
            assert_settled_once(site, handle.id, WIDTH)
        assert len([fate for fate in FATES if meddler.met[fate]]) > 3, meddler.met


def test_leases_of_a_server_that_was_stopped_outlast_its_stop(site: Site) -> None:
    """Its runners could not be heard meanwhile; it hears them first. One that waits gets nothing of theirs."""
    site.runner("busy")
    run = site.client.trigger(work.halves, n=1, pause=32)
    until(lambda: site.executions(), "the task to run")
    site.runner("idle")
    child = site.child()
    os.kill(child, signal.SIGSTOP)
    stopped = time.monotonic()
    until(lambda: time.monotonic() - stopped > 24, "every lease to be over")
    os.kill(child, signal.SIGCONT)
    assert patiently(lambda: run.result(60)) == 0
    (task,) = [task for task in site.tasks(run.id) if task.node == "half"]
    assert (task.state, task.attempt, task.losses, task.runner) == ("SUCCEEDED", 1, 0, "busy")
    assert Counter(site.executions()) == {(run.id, 0, 1): 1}
